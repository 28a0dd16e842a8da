"""Parts of a page: sections, exhibits, panels, tables."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from throughtime.report.canvas import WIDE, Palette

Cell = str | int | float
T = TypeVar("T")

ROWS = 60
"""Largest number of lines of a table on the page; the JSON has all."""
MARKS = 240
"""Largest number of updates that a curve draws one by one."""
_LOG_LIMITS = (1e-120, 1e120)
"""The least and the largest number on a logarithmic axis, with room at both ends."""


@dataclass(frozen=True)
class Table:
    """Numbers under heads; the first cell of a row is its name."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True)
class Panel:
    """A picture of an exhibit.

    Attributes:
        title: the picture's title within the exhibit, such as a layer's name; "" for a single picture.
        alt: a description of the picture in words and numbers.
        draw: a function that draws it on axes in a palette; None where nothing can be drawn.
        instead: the sentence in the place of a picture that cannot be drawn.
        size: width and height in inches.
        keys: the number of lines of keys above the axes.
        bar: whether a colour bar stands beside the axes.
    """

    title: str
    alt: str
    draw: Callable[[Any, Palette], None] | None
    instead: str = ""
    size: tuple[float, float] = WIDE
    keys: int = 1
    bar: bool = False


@dataclass(frozen=True)
class Exhibit:
    """Pictures and tables of a quantity, with advice on reading them."""

    heading: str
    look_for: str
    panels: Sequence[Panel]
    tables: Sequence[Table] = ()


@dataclass(frozen=True)
class Section:
    """Part of a page: a heading, sentences, exhibits, tables. `name` is its id, to which links of the page lead."""

    name: str
    heading: str
    sentences: Sequence[str] = ()
    exhibits: Sequence[Exhibit] = ()
    tables: Sequence[Table] = ()


def without_picture(title: str, why: str) -> Panel:
    """Return a panel with a sentence in place of a picture that cannot be drawn."""
    return Panel(title, "", None, why)


def shown(value: Cell) -> str:
    """Return a cell as text: numbers with four digits, signs for NaN and infinities."""
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}"
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:.4g}".replace("-", "−")


def picked(values: Sequence[T], most: int = ROWS) -> list[T]:
    """Return at most `most` of the values, evenly spread, with the first and the last."""
    return [values[index] for index in picked_places(len(values), most)]


def picked_places(count: int, most: int = ROWS) -> list[int]:
    """Return the places of the values that `picked` returns."""
    if count <= most:
        return list(range(count))
    return sorted({round(index * (count - 1) / (most - 1)) for index in range(most)})


def groups_of(rows: Sequence[T], most: int = MARKS) -> list[Sequence[T]]:
    """Return neighbouring rows in at most `most` groups of one size.

    The last group may be smaller.
    """
    size = math.ceil(len(rows) / most)
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def of_all(count: int, most: int, things: str) -> str:
    """Return the end of a title, such as ", 160 of 2,000 updates". It is "" where all can be drawn."""
    return f", {most:,} of {count:,} {things}" if count > most else ""


def table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[Cell]], most: int = ROWS) -> Table:
    """Return a table of at most `most` rows. Its caption says how many were left out."""
    left_out = f" ({most} of {len(rows):,} lines, evenly spread)" if len(rows) > most else ""
    return Table(caption + left_out, heads, picked(rows, most))


def positive(values: Sequence[float]) -> list[float]:
    """Return the values for a logarithmic axis. They are within its limits, and nan where they are not positive."""
    low, high = _LOG_LIMITS
    return [min(max(value, low), high) if math.isfinite(value) and value > 0 else math.nan for value in values]


def finite(values: Sequence[float]) -> list[float]:
    """Return the finite values."""
    return [value for value in values if math.isfinite(value)]


def with_gaps(values: Sequence[float]) -> list[float]:
    """Return the values for a linear axis. They are nan, a gap in the line, where they are not finite."""
    return [value if math.isfinite(value) else math.nan for value in values]
