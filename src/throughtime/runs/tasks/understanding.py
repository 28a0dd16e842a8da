"""Lines on what was understood of series: their columns, and the time between steps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from throughtime.runs.tasks.series_settings import SeriesSettings, names_in
from throughtime.wording import percent, plural

if TYPE_CHECKING:
    from throughtime.data.columns import Column
    from throughtime.data.series import SeriesSet

_MOST_LINES = 30
"""Most columns that have lines of their own."""


class _Told(NamedTuple):
    name: str
    kind: str
    role: str
    missing: str = ""


def column_lines(series: SeriesSet, given: SeriesSettings) -> list[str]:
    """Return a line per column: its name, type, role and the share that is missing.

    Args:
        series: as they were read.
        given: the roles of the columns, with those recognised.
    """
    told = list(_told(series, given))
    shown = told[:_MOST_LINES]
    names, kinds = (max((len(line[place]) for line in shown), default=0) for place in (0, 1))
    lines = [f"{name:<{names}}  {kind:<{kinds}}  {role}{missing}" for name, kind, role, missing in shown]
    rest = len(told) - len(shown)
    return lines + ([f"… and {plural(rest, 'column')} more"] if rest else [])


def spacing_lines(series: SeriesSet) -> list[str]:
    """Return a line on the time between steps and on gaps, where series have times."""
    from throughtime.data.frequency import spacing_of

    return [] if series.times is None or series.clock is None else [spacing_of(series).note]


def _told(series: SeriesSet, given: SeriesSettings) -> Iterable[_Told]:
    targets = names_in(given.target)
    if given.id:
        yield _Told(given.id, _of_ids(series), "the id")
    if given.time:
        yield _Told(given.time, "times", "the time")
    if series.label is not None:
        yield _Told("label", _kind(series.label), "the target", _missing(series.label))
    for name, column in [*series.columns.items(), *series.statics.items()]:
        static = " per series" if name in series.statics else ""
        yield _Told(name, _kind(column), "the target" if name in targets else f"an input{static}", _missing(column))
    if given.weight and series.weight is not None:
        yield _Told(given.weight, "numbers", "the weight")
    for name in names_in(given.ignore):
        yield _Told(name, "", "ignored")


def _of_ids(series: SeriesSet) -> str:
    words = isinstance(next(iter(series.ids), None), str)
    return plural(len(series), "word" if words else "number")


def _kind(column: Column) -> str:
    from throughtime.data.columns import Numbers

    if isinstance(column, Numbers):
        return "whole numbers" if column.whole else "numbers"
    return plural(len(column.levels), "word")


def _missing(column: Column) -> str:
    count = int(column.missing.sum())
    return f", {percent(count / len(column))} missing" if count else ""
