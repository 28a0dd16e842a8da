"""Series in the Monash archive's format `.tsf`."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from throughtime.data.columns import Cell, Column, column_of
from throughtime.data.formats.assembly import assemble
from throughtime.data.formats.base import Format, Raw
from throughtime.data.formats.instants import FIRST_YEAR, LAST_YEAR, count_from, instant_of
from throughtime.data.formats.numerals import is_whole, read_number, read_numbers
from throughtime.data.series import SeriesSet
from throughtime.errors import InputFileError
from throughtime.wording import listed, plural

ID = "series_name"
"""Attribute that holds the ids."""

START = "start_timestamp"
"""Attribute that holds the time of the first step."""

_TYPES = ("string", "numeric", "date")

_STEPS = {
    "second": np.timedelta64(1, "s"),
    "minute": np.timedelta64(60, "s"),
    "half_hour": np.timedelta64(1800, "s"),
    "hour": np.timedelta64(3600, "s"),
    "day": np.timedelta64(86400, "s"),
    "week": np.timedelta64(7 * 86400, "s"),
    "month": np.timedelta64(1, "M"),
    "quarter": np.timedelta64(3, "M"),
    "year": np.timedelta64(12, "M"),
}
_FREQUENCY = re.compile(r"(?:(\d{1,4})_)?([a-z_]+)")


@dataclass
class _Header:
    """What the tags before @data say."""

    attributes: dict[str, str] = field(default_factory=dict)
    frequency: str = ""
    step: np.timedelta64 = np.timedelta64(0, "s")
    equal: bool = False
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Series:
    """A line of the data."""

    line: int
    attributes: Mapping[str, str]
    values: NDArray[np.float64]
    whole: bool


def read_tsf(raw: Raw) -> SeriesSet:
    """Return the series of a `.tsf` file.

    The attribute `series_name` gives the ids, `start_timestamp` with the frequency the times; the others are values
    per series.

    Raises:
        InputFileError: the file is damaged; the message names the line.
    """
    lines = raw.lines()
    header = _read_header(raw, lines)
    series = [
        _read_series(raw, header, line, text.strip())
        for line, text in lines
        if text.strip() and not text.startswith("#")
    ]
    if not series:
        raise InputFileError(f"FILE {raw.path} has no series after @data.")
    lengths = {len(s.values) for s in series}
    if header.equal and len(lengths) > 1:
        header.notes.append(f"The header says equal lengths; the series have {min(lengths)} to {max(lengths)} steps.")
    times = _times(raw, header, series)
    taken = {ID, START} if times is not None else {ID}
    return assemble(
        raw.origin,
        [s.values[:, None] for s in series],
        [all(s.whole for s in series)],
        ids=_ids(raw, header, series),
        statics={name: _static(raw, header, series, name) for name in header.attributes if name not in taken},
        times=times,
        notes=header.notes,
    )


def _read_header(raw: Raw, lines: Iterator[tuple[int, str]]) -> _Header:
    header = _Header()
    for line, text in lines:
        words = text.split()
        if not words or text.startswith("#"):
            continue
        if not text.startswith("@"):
            raise raw.wrong(line, f"{text[:40]!r} stands before @data; the lines of the header begin with @")
        if words[0].lower() == "@data":
            return header
        _read_tag(raw, header, line, words)
    raise InputFileError(f"FILE {raw.path} has no line @data, after which the series of a .tsf file stand.")


def _read_tag(raw: Raw, header: _Header, line: int, words: list[str]) -> None:
    tag, values = words[0].lower(), words[1:]
    match tag, values:
        case "@attribute", [name, kind] if kind in _TYPES and name not in header.attributes:
            header.attributes[name] = kind
        case "@attribute", _:
            raise raw.wrong(
                line,
                f"{' '.join(words)[:60]!r} declares no attribute; it must be @attribute, a name of its own, and "
                f"{listed(_TYPES, 'or')}",
            )
        case "@frequency", [frequency]:
            header.frequency, header.step = frequency.lower(), _step_of(frequency, raw, line)
        case "@horizon", [horizon]:
            header.notes.append(f"The header asks for forecasts of {horizon} steps.")
        case "@equallength", [equal]:
            header.equal = equal.lower() == "true"
        case (("@relation" | "@missing"), _):
            pass
        case _:
            header.notes.append(f"Line {line}: {' '.join(words)[:40]} is not understood and was left out.")


def _step_of(frequency: str, raw: Raw, line: int) -> np.timedelta64:
    """Return the step of a frequency such as "monthly", "half_hourly" or "10_minutes"."""
    written = _FREQUENCY.fullmatch(frequency.lower())
    unit = written[2].removesuffix("s").removesuffix("ly") if written else ""
    unit = {"dai": "day"}.get(unit, unit)
    if written is None or unit not in _STEPS or written[1] == "0":
        raise raw.wrong(
            line,
            f"@frequency is {frequency[:40]}; it must be yearly, quarterly, monthly, weekly, daily, hourly, "
            "half_hourly, minutely, secondly or such as 10_minutes or 4_seconds",
        )
    return _STEPS[unit] * int(written[1] or 1)


def _read_series(raw: Raw, header: _Header, line: int, text: str) -> _Series:
    *attributes, values = text.split(":")
    if len(attributes) != len(header.attributes):
        raise raw.wrong(
            line,
            f"the line has {plural(len(attributes), 'attribute')} before the values, and the header declares "
            f"{len(header.attributes)}; they are separated by colons, so a time is written 2020-01-31 14-30-00",
        )
    numbers = read_numbers(raw, line, values.split(",") if values.strip() else [], "the series")
    named = dict(zip(header.attributes, (field.strip() for field in attributes), strict=True))
    return _Series(line, named, numbers, is_whole(values))


def _ids(raw: Raw, header: _Header, series: list[_Series]) -> list[Cell] | None:
    if ID not in header.attributes:
        header.notes.append(f"There is no attribute {ID}, so the ids are the numbers of the series, counted from 0.")
        return None
    lines: dict[str, int] = {}
    for s in series:
        key = s.attributes[ID]
        if key in lines:
            raise raw.wrong(s.line, f"the series is called {key!r}, as that of line {lines[key]}; names must differ")
        lines[key] = s.line
    return list(lines)


def _static(raw: Raw, header: _Header, series: list[_Series], name: str) -> Column:
    if header.attributes[name] != "numeric":
        return column_of([None if s.attributes[name] in ("", "?") else s.attributes[name] for s in series])
    cells: list[Cell] = []
    for s in series:
        text = s.attributes[name]
        number = read_number(raw, s.line, text, f"the attribute {name}")
        cells.append(None if np.isnan(number) else int(number) if is_whole(text) else number)
    return column_of(cells)


def _times(raw: Raw, header: _Header, series: list[_Series]) -> NDArray[np.datetime64] | None:
    """Return the time of each step of all series; None, with a note, where the file does not tell it."""
    if START not in header.attributes or not header.frequency:
        what = f"attribute {START}" if header.frequency else "@frequency"
        header.notes.append(f"There is no {what}, so the steps have no times.")
        return None
    pieces = []
    for s in series:
        start = instant_of(s.attributes[START])
        if start is None:
            raise raw.wrong(
                s.line,
                f"{START} is {s.attributes[START][:40]!r}; it must be a date such as 2020-01-31 14-30-00",
            )
        piece = count_from(start, header.step, len(s.values))
        if piece is None:
            header.notes.append(
                f"The steps have no times: the series of line {s.line}, {header.frequency} from {s.attributes[START]}, "
                f"leaves the years {FIRST_YEAR} to {LAST_YEAR}, for which times can be kept."
            )
            return None
        pieces.append(piece)
    return np.concatenate(pieces)


FORMAT = Format("tsf", (".tsf",), read_tsf)
