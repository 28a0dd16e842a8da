"""The structure of a page: what anybody, with any eyes and any browser, can hold on to."""

import re
from importlib.resources import files

import pytest
from report.pages import section_of, table_of
from report.records_of import flow, gains, step_norms

from throughtime.report.exhibit import shown
from throughtime.report.sentences import LookFor


def test_the_page_is_one_file_that_loads_nothing(rich_page):
    assert not list(rich_page.all("script", "link", "iframe", "object", "embed"))
    for element in rich_page.all():
        for name in ("src", "href", "xlink:href", "srcset", "action", "style"):
            value = element.attributes.get(name, "#")
            assert "//" not in value or value.startswith("data:image/png;base64,"), (element.name, name, value[:60])
            assert name not in ("src", "href") or value.startswith(("#", "data:image/png;base64,")), value[:60]
    styles = " ".join(style.text for style in rich_page.all("style"))
    assert "@import" not in styles and "url(" not in styles


def test_ids_are_unique_and_every_reference_finds_its_own(rich_page):
    ids = [element.attributes["id"] for element in rich_page.all() if "id" in element.attributes]
    assert len(ids) == len(set(ids)) > 100
    referred = set()
    for element in rich_page.all():
        for name, value in element.attributes.items():
            referred |= set(re.findall(r"url\(#(.*?)\)", value))
            if name == "href" and value.startswith("#"):
                referred.add(value[1:])
            if name == "aria-labelledby":
                referred |= set(value.split())
    assert referred <= set(ids) and any("clip" in one or "-p" in one for one in referred)


def test_a_figures_references_stay_inside_it(rich_page):
    for svg in rich_page.all("svg"):
        own = {element.attributes.get("id") for element in svg.all()}
        text = " ".join(value for element in svg.all() for value in element.attributes.values())
        assert set(re.findall(r"url\(#(.*?)\)", text)) <= own


def test_every_figure_has_a_name_for_those_who_do_not_see_it(rich_page):
    figures = list(rich_page.all("svg"))
    assert len(figures) > 30
    for svg in figures:
        assert svg.attributes["role"] == "img" and "viewbox" in svg.attributes
        title = next(svg.all("title"))
        assert svg.attributes["aria-labelledby"] == title.attributes["id"]
        assert len(title.text) > 20 and title.text.endswith("."), title.text
    names = [next(svg.all("title")).text for svg in figures]
    assert len(set(names)) == len(names)


OF_PREDICTIONS = (LookFor.CONFUSION, LookFor.CALIBRATION, LookFor.SCATTER, LookFor.ERRORS_BY, LookFor.FANS)
"""Sentences of figures of predictions, which a run of a text has not."""


def test_every_figure_says_what_to_look_for(rich_page):
    said = {next(figure.all("figcaption")).text for figure in rich_page.all("figure")}
    assert said == {
        look.value
        for look in LookFor
        if look not in (LookFor.STREAM_LOSSES, LookFor.OTHER_LOSSES, LookFor.OTHER_STREAM_LOSSES, *OF_PREDICTIONS)
    }


def test_headings_are_in_order(rich_page):
    levels = [int(one.name[1]) for one in rich_page.all("h1", "h2", "h3", "h4")]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))


def test_the_order_of_the_page(rich_page):
    names = [one.attributes["id"] for one in rich_page.all("section")]
    assert names == ["verdict", "loss", "decided", "gradient", "spectra", "units", "clipping", "samples", "particulars"]
    headings = [one.text for one in section_of(rich_page, "gradient").all("h3")]
    assert headings == ["By step", "By lag", "Over training", "From step to step", "By band of lags"]


def test_a_page_has_a_language_a_title_and_a_width(rich_page):
    html = next(rich_page.all("html"))
    assert html.attributes["lang"] == "en" and next(rich_page.all("title")).text == "a rich run"
    assert any(one.attributes.get("content", "").startswith("width=device-width") for one in rich_page.all("meta"))


def test_tables_have_captions_and_heads(rich_page):
    tables = list(rich_page.all("table"))
    assert len(tables) > 30
    for table in tables:
        assert next(table.all("caption")).text
        heads = [head for row in next(table.all("thead")).all("tr") for head in row.all("th", "td")]
        for row in next(table.all("tbody")).all("tr"):
            cells = list(row.all("th", "td"))
            assert len(cells) == len(heads)
            assert cells[0].attributes["scope"] == "row"


def test_the_numbers_of_a_figure_are_in_its_table(rich_page):
    last = flow(2, 900, 0.12).layers
    rows = table_of(rich_page, "recurrent.l1: ‖∂L/∂sₜ‖ by step")
    assert rows[0] == ["step t", "all", "h", "c"]
    assert rows[4] == ["3", *(shown(values[3]) for values in (last[1].by_step, *last[1].by_member.values()))]
    rows = table_of(rich_page, "recurrent.l0: gain to step")
    assert rows[0][:2] == ["", "0"] and rows[-1][0] == "34"
    found = gains(0.12)
    assert rows[-1][1] == shown(found.gain[-1][0]) and rows[1][-1] == "–"
    rows = table_of(rich_page, "recurrent.l0: ‖∂L/∂sₜ‖ over training")
    norm = next(one.norm for one in step_norms() if (one.update, one.layer, one.step) == (1, "recurrent.l0", 34))
    assert rows[-1][:2] == ["34", shown(norm)]
    rows = table_of(rich_page, "recurrent.l0: Lyapunov exponents per step, over 350 steps of 7 rows after 20 discarded")
    assert rows[1] == ["1", "−0.12", "0.01"] and rows[-1][1] == "−∞"
    assert table_of(rich_page, "recurrent.l0: the weights")[1][0] == "0"


def _variables(scheme: str) -> dict[str, str]:
    css = files("throughtime.report").joinpath("page.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{(.*?)\}", css, re.S)
    return dict(re.findall(r"(--[\w-]+): (#\w+)", blocks[["light", "dark", "print"].index(scheme)]))


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * one for one in colour[1:])
    channels = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_text_and_lines_stand_out(scheme):
    colours = _variables(scheme)
    for ground in ("--paper", "--soft", "--ground"):
        for text in ("--ink", "--muted", "--accent"):
            assert _contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    series = {name: colour for name, colour in colours.items() if name.startswith("--series")}
    assert len(series) == 6
    for name, colour in series.items():
        assert _contrast(colour, colours["--paper"]) >= 3, name


def test_figures_take_all_colours_from_the_page(rich_run):
    text = (rich_run / "report.html").read_text(encoding="utf-8")
    drawn = text[text.index("</style>") :]
    assert not re.search(r"#01000\w|#01001\w", drawn)
    assert not re.search(r"(fill|stroke): #", drawn)
    assert {f"var(--series-{index})" in drawn for index in range(4)} == {True}
