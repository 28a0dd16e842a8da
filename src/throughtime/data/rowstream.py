"""Rows of a stream of lines, CSV or JSON, as they come."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from throughtime.data.bytestream import STANDARD_INPUT, ByteStream
from throughtime.data.columns import Cell
from throughtime.data.fields import MISSING
from throughtime.errors import InputFileError
from throughtime.wording import plural

_SEPARATORS = "\t;,"
"""Separators of CSV, those first that are rarer in names."""

_LONGEST = 1 << 24
"""Bytes of the longest line; more are no row, and would fill the memory."""


@dataclass(frozen=True)
class StreamRow:
    """Row of a stream.

    Attributes:
        cells: column → number, text, or None where the value is missing.
        size: bytes that it took in the stream, with what was skipped before it.
        line: its number among the lines that were read, from 1, for messages.
    """

    cells: Mapping[str, Cell]
    size: int
    line: int


class RowStream:
    """Rows from standard input, a file, or a growing file.

    A line that begins with { is a JSON object; else the first line of the stream names the columns of CSV, between
    commas, semicolons or tabs. With semicolons, numbers may have decimal commas. A text that is a number is one; empty
    fields, null, NA and NaN are missing.

    Args:
        source: a file, or "-" for standard input.
        follow: when the file ends, wait for it to grow.
        offset: bytes at the beginning of the file that were read before.
        names: the columns, where they were read before; a line that repeats them is skipped. Empty: the first line
            tells.
        separator: of CSV, where it was read before.

    Raises:
        InputFileError: as `ByteStream`.
        ArgumentError: as `ByteStream`.
    """

    def __init__(
        self, source: str, follow: bool = False, offset: int = 0, names: Sequence[str] = (), separator: str = ""
    ) -> None:
        self._source = "standard input" if source == STANDARD_INPUT else f"FILE {source}"
        self._lines = self._split(ByteStream(source, follow, offset).pieces())
        self._read, self._skipped = 0, 0
        self.names, self.separator = tuple(names), separator

    def pieces(self) -> Iterator[list[StreamRow]]:
        """Yield the rows that came together; an empty list where none came for a while.

        Raises:
            InputFileError: a line is no row, or has not as many fields as the first.
        """
        for lines in self._lines:
            yield [row for line in lines if (row := self._row(line)) is not None]

    def first(self) -> StreamRow:
        """Wait for the first row and return it; `pieces` begins with it too.

        Raises:
            InputFileError: the stream ends before a row, or its first lines are no rows.
        """
        for lines in self._lines:
            for at, line in enumerate(lines):
                row = self._row(line)
                if row is not None:
                    self._read, self._skipped = self._read - 1, row.size - len(line)
                    self._lines = chain([lines[at:]], self._lines)
                    return row
        said = f"{self._source} ends after {plural(self._read, 'line')}, and has no row to learn from"
        raise InputFileError(f"{said}: give a line of column names and rows, or JSON objects, one per line.")

    def _split(self, pieces: Iterator[bytes]) -> Iterator[list[bytes]]:
        """Yield whole lines; a line whose quotation mark is open goes on in the next."""
        rest = b""
        for piece in pieces:
            lines, rest = _whole_lines(rest + piece)
            if len(rest) > _LONGEST:
                raise InputFileError(
                    f"{self._source}, line {self._read + len(lines) + 1}: has more than {_LONGEST:,} bytes, so it is "
                    "no row; is a quotation mark left open?"
                )
            yield lines
        if rest:
            yield [rest]

    def _row(self, line: bytes) -> StreamRow | None:
        """Return the row of a line; None for a line of names, or an empty one."""
        self._read += 1
        try:
            text = line.decode("utf-8-sig" if self._read == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            raise self._wrong("is no text in UTF-8") from None
        cells = self._cells(text) if text.strip() else None
        if cells is None:
            self._skipped += len(line)
            return None
        size, self._skipped = len(line) + self._skipped, 0
        return StreamRow(cells, size, self._read)

    def _cells(self, text: str) -> Mapping[str, Cell] | None:
        if text.lstrip().startswith("{") and not self.separator:
            return self._of_json(text)
        if not self.separator:
            self.separator = next((mark for mark in _SEPARATORS if mark in text), ",")
        fields = next(csv.reader([text], delimiter=self.separator))
        names = [field.strip() for field in fields]
        if not self.names:
            self._check_names(names)
            self.names = tuple(names)
            return None
        if tuple(names) == self.names:
            return None
        if len(fields) != len(self.names):
            raise self._wrong(f"has {plural(len(fields), 'field')}, and the first line {len(self.names)}")
        commas = self.separator == ";"
        return {name: _cell(field, commas) for name, field in zip(self.names, fields, strict=True)}

    def _check_names(self, names: Sequence[str]) -> None:
        for name in names:
            if not name or names.count(name) > 1:
                came = f"names {name!r} twice" if name else "has a column without a name"
                raise self._wrong(f"{came}: the first line must name each column once")

    def _of_json(self, text: str) -> Mapping[str, Cell]:
        try:
            row = json.loads(text)
        except (ValueError, RecursionError):
            raise self._wrong("begins with {, and is no JSON object") from None
        for name, value in row.items():
            if isinstance(value, (list, dict)):
                raise self._wrong(f"has a list or an object at {name!r}: give a number, a text or null")
        cells = {name: _cell(value, commas=False) for name, value in row.items()}
        if not self.names:
            self.names = tuple(cells)
        return {name: cells.get(name) for name in dict.fromkeys((*self.names, *cells))}

    def _wrong(self, what: str) -> InputFileError:
        return InputFileError(f"{self._source}, line {self._read}: {what}.")


def _whole_lines(content: bytes) -> tuple[list[bytes], bytes]:
    """Return the lines that end, and the rest."""
    lines: list[bytes] = []
    begin = 0
    for part in content.split(b"\n")[:-1]:
        begin += len(part) + 1
        if lines and lines[-1].count(b'"') % 2 and not lines[-1].startswith(b"{"):
            lines[-1] += part + b"\n"
        else:
            lines.append(part + b"\n")
    rest = content[begin:]
    if lines and lines[-1].count(b'"') % 2 and not lines[-1].startswith(b"{"):
        rest = lines.pop() + rest
    return lines, rest


def _cell(value: object, commas: bool) -> Cell:
    """Return a field or a value of JSON as a number, a text, or None."""
    if isinstance(value, (bool, int, float)):
        return None if value != value else float(value)
    if value is None or str(value).strip() in MISSING:
        return None
    text = str(value)
    try:
        number = float(text.replace(",", ".") if commas else text)
    except ValueError:
        return text
    return text if "_" in text else number
