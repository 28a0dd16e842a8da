"""CSV and TSV: a header and rows of fields between commas, semicolons or tabs."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from throughtime.data.cache import is_large, kept
from throughtime.data.fields import GrowingColumn, is_number
from throughtime.data.formats.base import Format, Raw
from throughtime.data.formats.records import Block, Single, records
from throughtime.data.large import GrowingArray
from throughtime.data.notes import missing_notes, named, shortened, were
from throughtime.data.series import Rows
from throughtime.errors import InputFileError
from throughtime.wording import plural

_SEPARATORS = {"\t": "tabs", ";": "semicolons", ",": "commas"}
"""Separators, those first that are rarer in fields."""

_SAMPLE = 1 << 16
"""Characters at the beginning of a file that tell its separator."""

_BLOCK = 1 << 14
"""Fields that are converted at once; the collection of garbage slows larger blocks down."""

_DATE = re.compile(r"\d{4}[-/]\d{1,2}\b.*")


@dataclass(frozen=True)
class _Layout:
    """How a file is written.

    Attributes:
        separator: what stands between fields.
        names: of the columns.
        header: whether the file has a line of names.
    """

    separator: str
    names: Sequence[str]
    header: bool


class _Table:
    """Rows of a file.

    Args:
        raw: the file.
        layout: how it is written.
        mapped: whether columns lie in files.
    """

    def __init__(self, raw: Raw, layout: _Layout, *, mapped: bool) -> None:
        self._raw, self._layout, self._mapped = raw, layout, mapped
        self.blank = 0
        """How many empty lines were left out of the blocks."""

    def columns(self, places: Mapping[int, bool]) -> tuple[dict[int, GrowingColumn], NDArray[np.int64]]:
        """Read some columns, given by their places and whether they are known to hold words.

        Returns:
            The columns by their places, and the lines [rows].
        """
        commas = self._layout.separator == ";"
        columns = {place: GrowingColumn(commas, words, mapped=self._mapped) for place, words in places.items()}
        lines = GrowingArray(np.int64, mapped=self._mapped)
        for block_lines, fields in self._blocks():
            lines.add(np.array(block_lines, dtype=np.int64))
            for place, column in columns.items():
                column.add(fields[place])
        for column in columns.values():
            column.settle()
        return columns, lines.array()

    def _blocks(self) -> Iterator[tuple[Sequence[int], Sequence[Sequence[str]]]]:
        """Yield the lines and, by column, the fields of rows, some thousands at once."""
        width, self.blank = len(self._layout.names), 0
        size = max(_BLOCK // width, 1)
        lines: list[int] = []
        rows: list[list[str]] = []
        blank: list[int] = []
        header = started = self._layout.header
        for read in records(self._raw, self._layout.separator, width):
            if isinstance(read, Block):
                if rows:
                    yield lines, list(zip(*rows, strict=True))
                    lines, rows = [], []
                self.blank += len(blank)
                yield self._of_block(read, header)
                header, started, blank = False, True, []
                continue
            line, fields = read.line, read.fields
            if len(fields) < 2 and not "".join(fields).strip():
                blank.append(line)
                continue
            if header:
                header, blank = False, []
                continue
            if len(fields) != width:
                raise self._ragged(line, len(fields))
            # In a file of one column an empty line between others is a missing value.
            kept = blank if width == 1 and started else []
            self.blank += len(blank) - len(kept)
            lines += kept
            rows += [[""]] * len(kept)
            started, blank = True, []
            lines.append(line)
            rows.append(fields)
            if len(rows) >= size:
                yield lines, list(zip(*rows, strict=True))
                lines, rows = [], []
        self.blank += len(blank)
        if rows:
            yield lines, list(zip(*rows, strict=True))

    def _of_block(self, block: Block, header: bool) -> tuple[Sequence[int], list[list[str]]]:
        """Return the lines and the fields of a block, without the header."""
        columns = [column[1:] for column in block.columns] if header else block.columns
        line = block.line + header
        return range(line, line + len(columns[0])), columns

    def _ragged(self, line: int, width: int) -> InputFileError:
        layout = self._layout
        return self._raw.wrong(
            line,
            f"has {plural(width, 'field')}, and the {'header' if layout.header else 'first line'} {len(layout.names)}, "
            f"separated by {_SEPARATORS[layout.separator]}: give each line as many, and put fields "
            "with separators in quotation marks",
        )


def read(raw: Raw) -> Rows:
    """Read a file of rows with a header.

    A column is of numbers where all its fields are numbers or missing, else of words. Numbers with leading zeros, such
    as ids, are words, and so are whole numbers beyond 2⁵³. Each column takes its type from all rows: where words come
    after numbers, the file is read twice. The rows of a large file are kept in the cache (data/cache.py).

    Raises:
        InputFileError: the file has no header, no rows, two columns of a name, a line with more or fewer fields than
            the header, a quotation mark out of place, or is no text in UTF-8.
    """
    if is_large(raw):
        return kept(raw, "csv", lambda: _read(raw, mapped=True))
    return _read(raw, mapped=False)


def _read(raw: Raw, *, mapped: bool) -> Rows:
    layout, notes = _layout_of(raw)
    table = _Table(raw, layout, mapped=mapped)
    columns, lines = table.columns(dict.fromkeys(range(len(layout.names)), False))
    if not len(lines):
        raise InputFileError(f"FILE {raw.path} has a header and no rows; add rows below it.")
    if late := [place for place, column in columns.items() if column.late]:
        culprits = {place: columns[place].culprit for place in late}
        columns |= table.columns(dict.fromkeys(late, True))[0]
        for place in late:
            columns[place].culprit = culprits[place]
    growing = {name: columns[place] for place, name in enumerate(layout.names)}
    result = {name: column.column() for name, column in growing.items()}
    if table.blank:
        notes.append(f"{were(table.blank, 'empty line')} left out.")
    notes += [*_notes_on_types(growing, lines), *missing_notes(result)]
    return Rows(raw.origin, result, len(lines), lines, notes)


FORMAT = Format("csv", (".csv", ".tsv"), read)


def _notes_on_types(columns: Mapping[str, GrowingColumn], lines: NDArray[np.int64]) -> list[str]:
    notes = []
    if commas := [name for name, column in columns.items() if column.has_commas]:
        notes.append(f"Decimal commas are read as decimal points in {named(commas)}.")
    for name, column in columns.items():
        if column.culprit:
            row, text = column.culprit
            notes.append(f"Column {name!r} is read as words, because line {lines[row]} has {shortened(text)}.")
    return notes


def _layout_of(raw: Raw) -> tuple[_Layout, list[str]]:
    try:
        with raw.text() as text:
            sample = text.read(_SAMPLE)
    except UnicodeDecodeError:
        raise raw.undecodable() from None
    if "\0" in sample:
        raise InputFileError(f"FILE {raw.path} holds NUL characters, so it is no text of rows; name another `format`.")
    separator = _separator(sample)
    for record in records(raw, separator):
        if isinstance(record, Single) and "".join(record.fields).strip():
            notes = [f"Fields are separated by {_SEPARATORS[separator]}."] if separator == ";" else []
            return _header(raw, separator, record.line, [field.strip() for field in record.fields], notes)
    raise InputFileError(f"FILE {raw.path} holds empty lines only; name a file with a header and rows.")


def _header(raw: Raw, separator: str, line: int, fields: list[str], notes: list[str]) -> tuple[_Layout, list[str]]:
    unnamed = [f"column_{place}" for place in range(1, len(fields) + 1)]
    commas = separator == ";"
    if all(is_number(field, commas) or _DATE.fullmatch(field) for field in fields):
        notes.append(
            f"The first line is no header, since it holds values: the columns are called {unnamed[0]!r} and so on."
        )
        return _Layout(separator, unnamed, header=False), notes
    names = [name or other for name, other in zip(fields, unnamed, strict=True)]
    for place, name in enumerate(names):
        if name in names[:place]:
            places = f"columns {names.index(name) + 1} and {place + 1}"
            raise raw.wrong(line, f"names {places} {name!r}: give each column a name of its own")
    if values := [field for field in fields if _is_value(field, commas)]:
        notes.append(f"The header names columns {named(values)}; if these are values, add a line of names above them.")
    if given := [name for name, field in zip(names, fields, strict=True) if not field]:
        notes.append(f"The header leaves columns without a name; they are called {named(given)}.")
    return _Layout(separator, names, header=True), notes


def _is_value(field: str, commas: bool) -> bool:
    """Return whether a field of a header is rather a value: a date, or a number that is no year or place."""
    return bool(_DATE.fullmatch(field)) or (is_number(field, commas) and not field.isdecimal())


def _separator(sample: str) -> str:
    """Return the separator that gives the most lines as many fields as the first."""
    scores = {separator: _score(sample, separator) for separator in _SEPARATORS}
    best = max(scores, key=lambda separator: scores[separator])
    return best if scores[best] > (0, 0) else ","


def _score(sample: str, separator: str) -> tuple[float, int]:
    """Return the share of lines with as many fields as the first, and their number; zeros for a single field."""
    try:
        records = list(csv.reader(io.StringIO(sample, newline=""), delimiter=separator, skipinitialspace=True))
    except csv.Error:
        return 0, 0
    widths = [len(fields) for fields in records if fields]
    return (widths.count(widths[0]) / len(widths), widths[0]) if widths and widths[0] > 1 else (0, 0)
