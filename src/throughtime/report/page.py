"""Render sections as a self-contained HTML page, without scripts or external files."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files

from throughtime.report.canvas import PAGE, drawing, missing_extra, one_axes
from throughtime.report.exhibit import Exhibit, Panel, Section, shown
from throughtime.report.svg import inline_svg

_TEMPLATE, _LOOKS = "page.html.jinja", "page.css"


@dataclass(frozen=True)
class Reply:
    """Reply to a question of the reader: sentences, and things to do in order."""

    question: str
    sentences: Sequence[str] = ()
    steps: Sequence[str] = ()


@dataclass(frozen=True)
class Page:
    """The content of a page.

    Attributes:
        title: the title.
        summary: a sentence on the run or the diagnosis.
        badge: the verdict in a word or two, "" without a verdict.
        verdict: the sentences of the verdict, as report.json has them.
        replies: the verdict as the page shows it.
        missing: sentences on missing records, with the commands that make them.
        sections: the sections below the verdict.
        texts: heading → text (samples), before the particulars.
        particulars: heading → name → value (configuration, data, machine).
        config: the text of the configuration file, "" without one.
        reproduce: the command that reproduces the run, "" without one.
    """

    title: str
    summary: str
    badge: str
    verdict: Sequence[str]
    replies: Sequence[Reply] = ()
    missing: Sequence[str] = ()
    sections: Sequence[Section] = ()
    texts: dict[str, str] = field(default_factory=dict)
    particulars: dict[str, dict[str, str]] = field(default_factory=dict)
    config: str = ""
    reproduce: str = ""


def render(page: Page) -> bytes:
    """Return the page as HTML.

    Raises:
        UnsupportedError: matplotlib or jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, StrictUndefined
        from markupsafe import Markup
    except ImportError:
        raise missing_extra("jinja2") from None
    folder = files("throughtime.report")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["shown"] = shown
    template = environment.from_string((folder / _TEMPLATE).read_text(encoding="utf-8"))
    pictures = [
        [[Markup(picture) for picture in exhibit] for exhibit in section] for section in _pictures(page.sections)
    ]
    looks = Markup((folder / _LOOKS).read_text(encoding="utf-8"))
    text = template.render(page=page, pictures=pictures, looks=looks, columns=_columns) + "\n"
    return text.encode("utf-8", "backslashreplace")  # the name of a file may hold bytes that are no text


def _pictures(sections: Sequence[Section]) -> list[list[list[str]]]:
    """Return the SVG of every panel of every exhibit and section. It is "" in the place of a sentence."""
    with drawing():
        return [
            [
                [_picture(panel, f"f{i}-{j}-{k}") for k, panel in enumerate(exhibit.panels)]
                for j, exhibit in enumerate(section.exhibits)
            ]
            for i, section in enumerate(sections)
        ]


def _picture(panel: Panel, prefix: str) -> str:
    if panel.draw is None:
        return ""
    figure, axes = one_axes(panel.size, panel.keys, panel.bar)
    panel.draw(axes, PAGE)
    return inline_svg(figure, prefix, panel.alt)


def _columns(exhibit: Exhibit) -> str:
    """Return the CSS classes for the layout of an exhibit's panels."""
    if any(panel.size[0] < 4 for panel in exhibit.panels):
        return "small few" if len(exhibit.panels) < 3 else "small"
    return {1: "one", 2: "two"}.get(len(exhibit.panels), "many")
