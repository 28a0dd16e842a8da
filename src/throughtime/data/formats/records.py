"""Records of separated fields, many lines at once where no line is unusual."""

import csv
import io
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from throughtime.data.formats.base import Raw
from throughtime.wording import reason_of

_PIECE = 1 << 18
"""Bytes that are read at once."""

_END, _QUOTE = ord("\n"), ord('"')


@dataclass(frozen=True)
class Block:
    """Records of a line each.

    Attributes:
        line: the line of the first record.
        columns: the fields of the records, by column.
    """

    line: int
    columns: list[list[str]]


@dataclass(frozen=True)
class Single:
    """A record by itself, which may have any number of fields.

    Attributes:
        line: the line on which it begins.
        fields: its fields.
    """

    line: int
    fields: list[str]


def records(raw: Raw, separator: str, width: int = 0) -> Iterator[Block | Single]:
    """Yield the records of a file, as Python's csv module reads them.

    Lines come as blocks where all have the same number of fields and no field holds an end of a line, a separator or a
    quotation mark; blocks take a third of the time of records.

    Args:
        raw: the file.
        separator: what stands between fields.
        width: the number of fields of a line in a block; 0: records alone are yielded.

    Raises:
        InputFileError: a quotation mark is out of place, or the file is damaged or is no text in UTF-8.
    """
    waiting: deque[str] = deque()
    line = 1
    with raw.stream() as stream:
        pieces = _pieces(stream)
        reader = csv.reader(_lines(waiting, pieces), delimiter=separator, skipinitialspace=True, strict=True)
        try:
            for piece in pieces:
                if width > 1 and (columns := _columns(piece, separator, width)):
                    yield Block(line, columns)
                    line += len(columns[0])
                    continue
                waiting.extend(_lines_of(piece))
                while waiting:
                    before = reader.line_num
                    if (fields := next(reader, None)) is not None:
                        yield Single(line, fields)
                    line += reader.line_num - before
        except csv.Error as error:
            said = f"has a quotation mark out of place ({reason_of(error)}): close each, and double those within fields"
            raise raw.wrong(line, said) from None
        except UnicodeDecodeError:
            raise raw.undecodable() from None


def _pieces(stream: io.BufferedReader) -> Iterator[bytes]:
    """Yield a file in pieces of whole lines, without a byte-order mark."""
    rest = stream.read(3).removeprefix(b"\xef\xbb\xbf")
    while read := stream.read(_PIECE):
        whole, end, after = read.rpartition(b"\n")
        if end:
            yield rest + whole + end
            rest = after
        else:
            rest += read
    if rest:
        yield rest


def _lines(waiting: deque[str], pieces: Iterator[bytes]) -> Iterator[str]:
    """Yield the lines that wait, and those of further pieces while a record goes on."""
    while True:
        if not waiting:
            if (piece := next(pieces, None)) is None:
                return
            waiting.extend(_lines_of(piece))
        yield waiting.popleft()


def _lines_of(piece: bytes) -> Iterator[str]:
    return iter(io.StringIO(piece.decode(), newline=""))


def _columns(piece: bytes, separator: str, width: int) -> list[list[str]]:
    """Return the fields of the lines by column; none where a line is not plain."""
    mark = separator.encode()
    if b"\r" in piece:
        piece = piece.replace(b"\r\n", b"\n")
    if not piece.endswith(b"\n"):
        piece += b"\n"
    if piece.startswith(b" ") or mark + b" " in piece or b"\n " in piece:
        if b'"' in piece:
            return []
        piece = re.sub(rb"(\A|(?<=[\n" + mark + rb"])) +", b"", piece)
    codes = np.frombuffer(piece, dtype=np.uint8)
    ends = np.flatnonzero((codes == ord(separator)) | (codes == _END))
    if b"\r" in piece or len(ends) % width or not _are_plain(codes, ends, width):
        return []
    text = piece.decode()
    fields = text.replace('"', "").replace("\n", separator).split(separator)
    fields.pop()  # after the last end of a line
    return [fields[place::width] for place in range(width)]


def _are_plain(codes: np.ndarray, ends: np.ndarray, width: int) -> bool:
    """Return whether lines have as many fields as they should, and quotation marks around whole fields only.

    Args:
        codes: [bytes] the lines, the last with its end.
        ends: [fields] where a separator or an end of a line stands.
        width: the number of fields of a line.
    """
    last = (codes[ends] == _END).reshape(-1, width)
    if not last[:, -1].all() or last[:, :-1].any() or np.diff(ends, prepend=-1).max() > csv.field_size_limit():
        return False
    quotes = np.flatnonzero(codes == _QUOTE)
    if len(quotes) % 2:
        return False
    opened, closed = quotes[::2], quotes[1::2]
    # A field with quotation marks begins right after the end of another, and ends right before the next.
    at = np.searchsorted(ends, opened)
    begins = np.concatenate([[0], ends + 1])[at]
    return bool((begins == opened).all() and (ends[at] == closed + 1).all())
