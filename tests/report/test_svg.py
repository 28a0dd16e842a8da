import re

from report.pages import read_page

from throughtime.report.canvas import PAGE, drawing, legend, one_axes
from throughtime.report.svg import inline_svg


def _svg(prefix="p", name="A line.", title="", image=False) -> str:
    with drawing():
        figure, axes = one_axes((5, 3), 1, False)
        axes.plot([1, 2, 3], [0.123456, 1.5, 2], color=PAGE.series[1], label="0.123456 of $x$")
        if image:
            axes.imshow([[1, 2], [3, 4]])
        axes.set_title(title, color=PAGE.ink)
        legend(axes, PAGE)
        return inline_svg(figure, prefix, name)


def test_colours_are_the_pages_and_ids_the_figures_own():
    first, second = _svg("a"), _svg("b")
    assert "var(--series-1)" in first and PAGE.series[1] not in first
    assert second == first.replace('"a-', '"b-').replace("#a-", "#b-")
    ids = re.findall(r' id="(.*?)"', first)
    assert len(set(ids)) == len(ids) == 4 and all(one.startswith("a-") for one in ids)
    assert re.findall(r"url\(#(.*?)\)", first) and set(re.findall(r"url\(#(.*?)\)", first)) <= set(ids)


def test_text_stays_text_and_is_not_rounded():
    svg = _svg(title="a <b> & 0.987654", name='He said "<&>".')
    page = read_page(svg)
    texts = [one.text for one in page.all("text")]
    assert "a <b> & 0.987654" in texts and "0.123456 of $x$" in texts
    assert next(page.all("title")).text == 'He said "<&>".'


def test_what_a_page_does_not_need_is_left_out():
    svg = _svg(image=True)
    for part in ("<metadata", "<style", "<!--", "xmlns", "xlink", "font-family", "<?xml", "http"):
        assert part not in svg, part
    assert re.search(r'href="data:image/png;base64,[\w+/=]+"', svg)
    assert not re.search(r'="[^"]*\d\.\d{3}', re.sub(r'href="data.*?"', "", svg))
