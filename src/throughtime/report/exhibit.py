"""What a page is made of: sections of exhibits, each with panels to look at, what to look for, and the numbers."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from throughtime.report.canvas import WIDE, Palette

Cell = str | int | float
T = TypeVar("T")

ROWS = 60
"""The most lines of a table on the page; the JSON file has all."""
_SHOWN = (1e-120, 1e120)
"""The least and the largest number on a logarithmic axis, which needs some room at both ends."""


@dataclass(frozen=True)
class Table:
    """Numbers under heads; the first of each row names it."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True)
class Panel:
    """One picture.

    Attributes:
        title: which of the exhibit's pictures it is, as a layer's name; "" where it is the only one.
        alt: what it shows, in words and numbers.
        draw: draws it on axes in a palette; None where there is nothing to draw.
        instead: the sentence that stands for it then.
        size: in inches.
        keys: how many lines of keys stand above the axes.
        bar: whether a colour bar stands beside them.
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
    """Pictures of one thing, with what to look for in them, and their numbers."""

    heading: str
    look_for: str
    panels: Sequence[Panel]
    tables: Sequence[Table] = ()


@dataclass(frozen=True)
class Section:
    """A part of a page: exhibits under a heading, and sentences before them."""

    name: str
    heading: str
    sentences: Sequence[str] = ()
    exhibits: Sequence[Exhibit] = ()
    tables: Sequence[Table] = field(default_factory=tuple)


def shown(value: Cell) -> str:
    """A cell as text: four digits of a number, signs for what is no number."""
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
    """At most so many of the values, evenly spread, with the first and the last."""
    return [values[index] for index in picked_places(len(values), most)]


def picked_places(count: int, most: int = ROWS) -> list[int]:
    """The places of `picked`."""
    if count <= most:
        return list(range(count))
    return sorted({round(index * (count - 1) / (most - 1)) for index in range(most)})


def of_all(count: int, most: int, things: str) -> str:
    """What a title says of things that are too many to be drawn, as ", 160 of 2,000 updates"; else nothing."""
    return f", {most:,} of {count:,} {things}" if count > most else ""


def table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[Cell]], most: int = ROWS) -> Table:
    """A table of at most so many rows; the caption says what was left out."""
    left_out = f" ({most} of {len(rows):,} lines, evenly spread)" if len(rows) > most else ""
    return Table(caption + left_out, heads, picked(rows, most))


def positive(values: Sequence[float]) -> list[float]:
    """The values with nan in the place of what a logarithm cannot show, and held within what an axis can hold."""
    low, high = _SHOWN
    return [min(max(value, low), high) if math.isfinite(value) and value > 0 else math.nan for value in values]


def finite(values: Sequence[float]) -> list[float]:
    """The values that are finite."""
    return [value for value in values if math.isfinite(value)]
