"""Series in the UCR and UEA archives' format `.ts`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from throughtime.data.columns import Column, Numbers
from throughtime.data.formats.assembly import assemble
from throughtime.data.formats.base import Format, Raw
from throughtime.data.formats.instants import fits, instant_of
from throughtime.data.formats.lines import SeriesLine, check_dimensions, classes_of
from throughtime.data.formats.numerals import is_whole, read_number, read_numbers
from throughtime.data.series import SeriesSet
from throughtime.errors import InputFileError
from throughtime.wording import plural

TAGS = {
    "@problemname": "problemname",
    "@timestamps": "timestamps",
    "@missing": "missing",
    "@univariate": "univariate",
    "@dimension": "dimensions",
    "@dimensions": "dimensions",
    "@equallength": "equallength",
    "@serieslength": "serieslength",
    "@classlabel": "classlabel",
    "@targetlabel": "targetlabel",
}
"""Tags of a header, in small letters, and the tag that each stands for."""

_FLAGS = ("timestamps", "univariate", "equallength", "classlabel", "targetlabel")
_COUNTS = ("dimensions", "serieslength")

_PAIR = re.compile(r"\(([^(),]+),([^(),]*)\)")
_PAIRS = re.compile(rf"(?:{_PAIR.pattern}(?:,{_PAIR.pattern})*)?")
_COLON_BETWEEN_DIMENSIONS = re.compile(r":(?![^()]*\))")
"""Colon that does not stand in a time, such as (2020-01-31 10:00:00,1.5)."""


@dataclass
class _Header:
    """What the tags before @data say."""

    flags: dict[str, bool] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    classes: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def says(self, flag: str) -> bool:
        return self.flags.get(flag, False)

    @property
    def labelled(self) -> bool:
        return self.says("classlabel") or self.says("targetlabel")


def read_ts(raw: Raw) -> SeriesSet:
    """Return the series of a `.ts` file.

    A class is a word, in the order of the header; a target is a number. Where the header and the data disagree on what
    the data show themselves, such as the number of dimensions, a note says so and the data count.

    Raises:
        InputFileError: the file is damaged; the message names the line.
    """
    lines = raw.lines()
    header = _read_header(raw, lines)
    cases: list[SeriesLine] = []
    for line, text in lines:
        if text.strip() and not text.startswith("#"):
            cases.append(_read_case(raw, header, line, text.strip()))
            check_dimensions(raw, cases[0], cases[-1])
    if not cases:
        raise InputFileError(f"FILE {raw.path} has no series after @data.")
    return assemble(
        raw.origin,
        [case.table for case in cases],
        np.all([case.whole for case in cases], axis=0).tolist(),
        label=_label(raw, header, cases) if header.labelled else None,
        times=np.concatenate([case.times for case in cases if case.times is not None])
        if header.says("timestamps")
        else None,
        notes=[*header.notes, *_disagreements(header, cases)],
    )


def _read_header(raw: Raw, lines: Iterator[tuple[int, str]]) -> _Header:
    header = _Header()
    for line, text in lines:
        words = text.split()
        if not words or text.startswith("#"):
            continue
        if not text.startswith("@"):
            raise raw.wrong(line, f"{text[:40]!r} stands before @data; the lines of the header begin with @")
        tag = words[0].lower()
        if tag == "@data":
            return header
        if tag in TAGS:
            _read_tag(raw, header, line, TAGS[tag], words[1:])
        else:
            header.notes.append(f"Line {line}: {words[0]} is no tag of the format and was left out.")
    raise InputFileError(f"FILE {raw.path} has no line @data, after which the series of a .ts file stand.")


def _read_tag(raw: Raw, header: _Header, line: int, tag: str, words: list[str]) -> None:
    said = words[0].lower() if words else ""
    if tag in _FLAGS:
        if said not in ("true", "false"):
            raise raw.wrong(line, f"@{tag} is {said or 'empty'}; it must be true or false")
        header.flags[tag] = said == "true"
    if tag in _COUNTS:
        if not (said.isdecimal() and int(said)):
            raise raw.wrong(line, f"@{tag} is {said or 'empty'}; it must be a whole number of at least 1")
        header.counts[tag] = int(said)
    if tag == "classlabel":
        header.classes = words[1:]
    if header.says("classlabel") and header.says("targetlabel"):
        raise raw.wrong(line, "@classLabel and @targetLabel are both true; the last field of a line can be only one")


def _read_case(raw: Raw, header: _Header, line: int, text: str) -> SeriesLine:
    dated = header.says("timestamps")
    fields = _COLON_BETWEEN_DIMENSIONS.split(text) if dated else text.split(":")
    label = fields.pop().strip() if header.labelled else ""
    if not fields:
        raise raw.wrong(line, "the line has a single field, and the header declares values and a label")
    if dated:
        pairs = [_read_pairs(raw, line, field, f"dimension {d}") for d, field in enumerate(fields, start=1)]
        columns = [values for _, values in pairs]
        fields = [",".join(value for _, value in _PAIR.findall(field)) for field in fields]
    else:
        pairs = []
        columns = [
            read_numbers(raw, line, field.split(",") if field.strip() else [], f"dimension {d}")
            for d, field in enumerate(fields, start=1)
        ]
    for d, column in enumerate(columns, start=1):
        if len(column) != len(columns[0]):
            raise raw.wrong(
                line,
                f"dimension {d} has {plural(len(column), 'step')} and dimension 1 has {len(columns[0])}; the "
                "dimensions of a series must have the same steps: write ? for values that are missing",
            )
    times = _same_times(raw, line, [moments for moments, _ in pairs]) if dated else None
    return SeriesLine(line, np.stack(columns, axis=1), [is_whole(field) for field in fields], label, times)


def _read_pairs(raw: Raw, line: int, text: str, place: str) -> tuple[NDArray[np.datetime64], NDArray[np.float64]]:
    """Return times and values of a dimension such as "(2020-01-31,1.5),(2020-02-29,?)"."""
    if not _PAIRS.fullmatch(text.strip()):
        raise raw.wrong(
            line, f"{place} is {text.strip()[:40]!r}; as @timeStamps is true, it must be pairs such as (2020-01-31,1.5)"
        )
    pairs = _PAIR.findall(text)
    moments = []
    for written, _ in pairs:
        moment = instant_of(written)
        if moment is None or not fits(moment):
            raise raw.wrong(
                line,
                f"{place} has the time {written[:40]!r}; it must be a date such as 2020-01-31 14:30:00 of the years "
                "1678 to 2261: give times of another kind as a dimension, with @timeStamps false",
            )
        moments.append(moment)
    values = read_numbers(raw, line, [value for _, value in pairs], place)
    return np.array(moments, dtype="datetime64[ns]"), values


def _same_times(raw: Raw, line: int, moments: list[NDArray[np.datetime64]]) -> NDArray[np.datetime64]:
    for d, other in enumerate(moments[1:], start=2):
        if (other != moments[0]).any():
            at = int(np.flatnonzero(other != moments[0])[0])
            raise raw.wrong(
                line,
                f"step {at + 1} is at {moments[0][at]} in dimension 1 and at {other[at]} in dimension {d}; the "
                "dimensions of a series must have the same times",
            )
    return moments[0]


def _label(raw: Raw, header: _Header, cases: list[SeriesLine]) -> Column:
    if header.says("targetlabel"):
        values = [read_number(raw, case.line, case.label, "the target after the last colon") for case in cases]
        return Numbers(np.array(values), whole=all(is_whole(case.label) for case in cases))
    return classes_of(raw, cases, header.classes)


def _disagreements(header: _Header, cases: list[SeriesLine]) -> list[str]:
    """Return a note for each thing that the header says and the data do not show."""
    lengths = {len(case.table) for case in cases}
    width = cases[0].table.shape[1]
    notes = []
    if header.counts.get("dimensions", width) != width:
        notes.append(f"The header says {header.counts['dimensions']} dimensions; the series have {width}.")
    if header.says("univariate") and width > 1:
        notes.append(f"The header says that the series are univariate; they have {width} dimensions.")
    if header.says("equallength") and len(lengths) > 1:
        notes.append(f"The header says equal lengths; the series have {min(lengths)} to {max(lengths)} steps.")
    length = header.counts.get("serieslength")
    if length is not None and lengths != {length} and header.flags.get("equallength", True):
        notes.append(f"The header says {length} steps; the series have {min(lengths)} to {max(lengths)}.")
    return notes


FORMAT = Format("ts", (".ts",), read_ts)
