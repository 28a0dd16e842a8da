"""Times: columns of words or numbers as instants in UTC."""

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from throughtime.data.clock import MINUTE, Clock, Precision, Times, minutes_of, offset_text
from throughtime.data.columns import Numbers, Words
from throughtime.data.large import computed, is_mapped
from throughtime.data.series import Rows
from throughtime.errors import ArgumentError, InputFileError
from throughtime.wording import listed

Epoch = Literal["s", "ms", "us", "ns"]
"""Unit of numbers that count from 1970-01-01T00:00:00Z."""

SCALES = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
"""Nanoseconds of each unit of `Epoch`."""

_FORM = re.compile(
    r"(?P<date>0000(?:-00(?:-00)?|/00/00)?|0000-?Q0)"
    r"(?:(?P<separator>(?<=00.00.00)[T ])(?P<clock>00(?::00(?::00(?:\.0{1,9})?)?)?)"
    r"(?: ?(?P<offset>Z|UTC|[+-]00(?::?00)?)(?P<zone>\[[^\]]+\])?)?)?"
)
"""Times that are understood, every digit written as 0."""

_DIGITS = str.maketrans("123456789", "000000000")

_ADVICE = (
    "write times as 2020-01-31, 2020-01-31 13:45:00, 2020-01 or 2020Q1, with an offset such as +01:00 if zones matter"
)

_FIRST, _LAST = np.datetime64("1678-01-01", "s"), np.datetime64("2262-01-01", "s")
"""Bounds of the times that nanoseconds in 64 bits reach."""

_LENGTHS = (2, 5, 8, 12, 15, 18)
"""Most characters of a time of the day with each precision from hours on."""

_PRECISIONS: tuple[Precision, ...] = ("Y", "M", "D", "h", "m", "s", "ms", "us", "ns")

_NO_OFFSETS = np.zeros(0, dtype="timedelta64[ns]")


@dataclass(frozen=True)
class Moments:
    """Times of rows.

    Attributes:
        values: [rows] in UTC; NaT where a time is missing.
        clock: how they are printed.
        notes: what the user should know.
    """

    values: Times
    clock: Clock
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class _Civil:
    """Texts of one form, read.

    Attributes:
        places: [texts] their places among all texts.
        values: [texts] what clocks on the wall showed.
        offsets: [texts] how far ahead of UTC; None where the texts have no offset.
        zones: the names of zones among the texts, "" for none.
        clock: how the texts were written.
    """

    places: NDArray[np.int64]
    values: Times
    offsets: NDArray[np.timedelta64] | None
    zones: set[str]
    clock: Clock


class _UnreadableError(Exception):
    """Texts that are no times; the first argument is the place of the first of them."""


def moments_of(rows: Rows, name: str, epoch: Epoch | None = None) -> Moments:
    """Return the times of a column.

    Words are read as ISO 8601: years, months, quarters, dates, or dates with the time of the day, perhaps with an
    offset, and the name of a zone in brackets (RFC 9557). Numbers count steps, or time from any beginning, unless
    `epoch` gives the unit in which they count from 1970.

    Args:
        rows: the rows.
        name: the column.
        epoch: the unit of numbers that count from 1970-01-01T00:00:00Z.

    Raises:
        InputFileError: a value is no time, or times with and without an offset are mixed.
        ArgumentError: `epoch` is given for words that are no whole numbers, or is no unit.
    """
    column = rows.columns[name]
    if epoch is not None and epoch not in SCALES:
        raise ArgumentError("epoch", f"is {epoch!r}", f"it must be one of {', '.join(SCALES)}")
    if isinstance(column, Numbers):
        return _of_numbers(rows, name, column, epoch)
    if epoch is not None:
        return _of_large_numbers(rows, name, column, epoch)
    return _of_words(rows, name, column)


def are_times(column: Words) -> bool:
    """Return whether all words of a column are times."""
    try:
        # A look at the first few spares most columns of words the rest.
        return bool(column.levels) and all(_parts(levels) for levels in (column.levels[:20], column.levels))
    except _UnreadableError:
        return False


def _of_words(rows: Rows, name: str, column: Words) -> Moments:
    try:
        parts = _parts(column.levels)
    except _UnreadableError as error:
        level = error.args[0]
        said = f"is {column.levels[level]!r}, which is no time: {_ADVICE}"
        raise rows.wrong(_first_row(column, level), name, said) from None
    if len({part.offsets is None for part in parts}) > 1:
        raise _mixed(rows, name, column, parts)
    values = np.full(len(column.levels) + 1, np.datetime64("NaT", "ns"))
    for part in parts:
        values[part.places] = part.values if part.offsets is None else part.values - part.offsets
    clock, notes = _common_clock(parts, name)
    _check_zone(rows, name, clock.zone)
    # ABSENT, -1, leads to the last place, which is NaT.
    mapped = is_mapped(column.numbers)
    return Moments(computed(lambda block: values[column.numbers[block]], len(column), mapped=mapped), clock, notes)


def _mixed(rows: Rows, name: str, column: Words, parts: list[_Civil]) -> InputFileError:
    with_offset = next(int(part.places[0]) for part in parts if part.offsets is not None)
    without = next(int(part.places[0]) for part in parts if part.offsets is None)
    line = rows.lines[_first_row(column, with_offset)]
    return rows.wrong(
        _first_row(column, without),
        name,
        f"is {column.levels[without]!r}, without an offset from UTC, and {rows.origin.counts} {line} has "
        f"{column.levels[with_offset]!r}: write all times with an offset, or none",
    )


def _check_zone(rows: Rows, name: str, zone: str) -> None:
    try:
        Clock(zone).local(np.zeros(1, dtype="datetime64[ns]"))
    except (KeyError, ValueError):  # ZoneInfoNotFoundError is a KeyError
        raise rows.wrong(0, name, f"is in the zone {zone!r}, which Python does not know: install tzdata") from None


def _parts(levels: tuple[str, ...]) -> list[_Civil]:
    """Read texts, those of one form together."""
    shapes = _shapes(levels)
    forms = {shape: _FORM.fullmatch(shape) for shape in shapes}
    numbers = {shape: number for number, shape in enumerate(forms)}
    if None in forms.values():
        raise _UnreadableError(next(place for place, shape in enumerate(shapes) if forms[shape] is None))
    group = np.fromiter(map(numbers.__getitem__, shapes), np.int64, len(shapes))
    return [
        _read(levels, np.flatnonzero(group == numbers[shape]), form)
        for shape, form in forms.items()
        if form is not None
    ]


def _shapes(levels: tuple[str, ...]) -> list[str]:
    # Joined, the texts are translated ten times faster; a text with an end of a line would come apart.
    shapes = "\n".join(levels).translate(_DIGITS).split("\n")
    return shapes if len(shapes) == len(levels) else [level.translate(_DIGITS) for level in levels]


def _read(levels: tuple[str, ...], places: NDArray[np.int64], form: re.Match[str]) -> _Civil:
    texts = [levels[place] for place in places.tolist()]
    try:
        values = _instants(texts, form)
    except ValueError:
        impossible = (place for place in places.tolist() if not _is_possible(levels[place], form))
        raise _UnreadableError(next(impossible)) from None
    offsets = None
    if form["offset"] is not None:
        start, end = form.span("offset")
        nanoseconds = {text: minutes_of(text) * MINUTE for text in {text[start:end] for text in texts}}
        offsets = np.array([nanoseconds[text[start:end]] for text in texts], dtype="timedelta64[ns]")
    zones = {text[form.start("zone") + 1 : -1] if form["zone"] else "" for text in texts}
    return _Civil(places, values, offsets, zones, Clock(precision=_precision(form), separator=form["separator"] or " "))


def _instants(texts: list[str], form: re.Match[str]) -> Times:
    """Return what clocks on the wall showed. Raises `ValueError` for a day or a time that does not exist."""
    end = max(form.end("date"), form.end("clock"))
    civil = np.array(texts, dtype=f"U{end}")  # what follows is cut off
    if "Q" in form["date"]:
        quarters = np.array([int(text[end - 1]) for text in texts])
        if ((quarters < 1) | (quarters > 4)).any():
            raise ValueError
        civil = np.array([f"{text[:4]}-{3 * quarter - 2:02}" for text, quarter in zip(texts, quarters, strict=True)])
    elif "/" in form["date"]:
        civil = np.strings.replace(civil, "/", "-")
    seconds = civil.astype("U19").astype("datetime64[s]")
    if ((seconds < _FIRST) | (seconds >= _LAST)).any():
        raise ValueError
    return (seconds if civil.dtype.itemsize <= 4 * 19 else civil).astype("datetime64[ns]")


def _is_possible(text: str, form: re.Match[str]) -> bool:
    try:
        _instants([text], form)
    except ValueError:
        return False
    return True


def _precision(form: re.Match[str]) -> Precision:
    if form["clock"] is None:
        return "M" if "Q" in form["date"] else _PRECISIONS[len(form["date"]) // 3 - 1]  # 4, 7 or 10 characters
    return _PRECISIONS[3 + bisect_left(_LENGTHS, len(form["clock"]))]


def _common_clock(parts: list[_Civil], name: str) -> tuple[Clock, list[str]]:
    precision = _PRECISIONS[max((_PRECISIONS.index(part.clock.precision) for part in parts), default=5)]
    separator = max((part.clock.separator for part in parts), default=" ")
    offsets = np.unique(np.concatenate([*(part.offsets for part in parts if part.offsets is not None), _NO_OFFSETS]))
    zones = set().union(*(part.zones for part in parts))
    if len(zones) == 1 and zones != {""}:
        zone = zones.pop()
        return Clock(zone, precision, separator, changing=zone[0] not in "+-"), []
    texts = [offset_text(int(offset) // MINUTE) for offset in offsets.astype(np.int64)]
    if len(texts) < 2:
        return Clock("".join("Z" if text == "+00:00" else text for text in texts), precision, separator), []
    note = f"The times in column {name!r} have the offsets {listed(texts)}; they are printed with {texts[0]}."
    return Clock(texts[0], precision, separator, changing=True), [note]


def _first_row(column: Words, level: int) -> int:
    return int(np.argmax(column.numbers == level))


def _of_numbers(rows: Rows, name: str, column: Numbers, epoch: Epoch | None) -> Moments:
    present = ~column.missing
    values = np.where(present, column.values, 0)
    counts = epoch is None
    scale = SCALES[epoch] if epoch else 1 if column.whole else 10**9
    # Whole and broken parts are scaled apart: seconds since 1970 in nanoseconds are more than float64 holds.
    whole = np.floor(values)
    limit = 2**63 // scale if counts else float(_LAST.astype(np.int64)) * 10**9 / scale
    if (outside := ~(np.abs(whole) < limit)).any():
        row = int(np.argmax(outside))
        said = f"is {column.cell(row)}, which is too large for a time"
        raise rows.wrong(row, name, f"{said}: name another column, or another unit" if counts else f"{said} in {epoch}")
    if counts and column.whole and (row := _compact_date(values[present])) is not None:
        row = int(np.flatnonzero(present)[row])
        said = "which reads as a date and would count as a number: write it as 2020-01-31"
        raise rows.wrong(row, name, f"is {column.cell(row)}, {said}")
    ticks = whole.astype(np.int64) * scale + np.rint((values - whole) * scale).astype(np.int64)
    ticks[~present] = np.iinfo(np.int64).min  # NaT
    note = f"The times in column {name!r} are numbers and count as they stand; with `epoch` they are dates."
    return Moments(ticks.view("datetime64[ns]"), Clock(scale=scale, counts=counts), [note] if counts else [])


def _compact_date(values: NDArray[np.float64]) -> int | None:
    """Return the place of the first number where all read as dates such as 20200131."""
    if len(np.unique(values)) < 2 or not ((values >= 1678_01_01) & (values < 2262_01_01)).all():
        return None
    texts = [f"{int(value)}" for value in np.unique(values)]
    try:
        np.array([f"{text[:4]}-{text[4:6]}-{text[6:]}" for text in texts]).astype("datetime64[D]")
    except ValueError:
        return None
    return 0


def _of_large_numbers(rows: Rows, name: str, column: Words, epoch: Epoch) -> Moments:
    for level, word in enumerate(column.levels):
        if not re.fullmatch(r"[+-]?[0-9]+", word) or abs(int(word)) * SCALES[epoch] >= 2**63:
            said = f"is {word!r}, which is no whole number of {epoch} since 1970: leave `epoch` out, or write numbers"
            raise rows.wrong(_first_row(column, level), name, said)
    ticks = [int(word) * SCALES[epoch] for word in column.levels]
    values = np.array([*ticks, np.iinfo(np.int64).min]).view("datetime64[ns]")
    return Moments(values[column.numbers], Clock(scale=SCALES[epoch]))
