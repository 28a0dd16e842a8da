"""Convert a matplotlib figure to compact SVG for a page. It has the page's colours and an accessible name."""

import io
import re
from html import escape
from typing import TYPE_CHECKING

from throughtime.report.canvas import VARIABLES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))
_DROPPED = re.compile(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->|<defs>\s*</defs>", re.S)
_ATTRIBUTE = re.compile(r'([\w:-]+)="([^"]*)"')
_FRACTION = re.compile(r"-?\d+\.\d{2,}")
_STAND_IN = re.compile("|".join(VARIABLES))
# Two or more equal markers in a row, with one style.
_MARKS = re.compile(
    r'<use href="[^"]*" x="[^"]*" y="[^"]*"( style="[^"]*")/>(?:<use href="[^"]*" x="[^"]*" y="[^"]*"\1/>)+'
)
_FAMILY = re.compile(r"font-family: [^;]*; ?")


def inline_svg(figure: "Figure", prefix: str, name: str) -> str:
    """Return a figure as an SVG element for an HTML page.

    Args:
        figure: drawn in the colours of `canvas.PAGE`.
        prefix: the beginning of its ids, different for each figure of a page.
        name: a description of the figure, for readers who do not see it.
    """
    written = io.BytesIO()
    figure.savefig(written, format="svg", metadata=_NO_METADATA, transparent=True)
    text = written.getvalue().decode()
    text = _DROPPED.sub("", text[text.index("<svg") :])
    start = text.index(">") + 1
    box = dict(_ATTRIBUTE.findall(text[:start]))["viewBox"]
    body = _ATTRIBUTE.sub(lambda match: _attribute(match[1], match[2], prefix), text[start:])
    body = _light(re.sub(r">\s+<", "><", body.strip()))
    title = f'<title id="{prefix}-name">{escape(name)}</title>'
    return f'<svg role="img" aria-labelledby="{prefix}-name" viewBox="{box}">{title}{body}'


def _light(body: str) -> str:
    """Shorten the picture: drop unused ids, and write repeated styles once."""
    referred = set(re.findall(r"#([\w.-]+)", body))
    body = re.sub(r' id="(.*?)"', lambda match: match[0] if match[1] in referred else "", body)
    return _MARKS.sub(lambda match: f"<g{match[1]}>{match[0].replace(match[1], '')}</g>", body)


def _attribute(name: str, value: str, prefix: str) -> str:
    if name in ("href", "xlink:href"):  # an id of this figure, or the bytes of an image
        if value.startswith("#"):
            return f'href="#{prefix}-{value[1:]}"'
        return f'href="{"".join(value.split())}"'
    if name == "id":
        return f'id="{prefix}-{value}"'
    value = _STAND_IN.sub(lambda match: f"var({VARIABLES[match[0]]})", value)
    value = _FAMILY.sub("", value).replace("url(#", f"url(#{prefix}-")
    value = _FRACTION.sub(lambda match: f"{float(match[0]):.2f}".rstrip("0").rstrip("."), value)
    return f'{name}="{" ".join(value.split())}"'
