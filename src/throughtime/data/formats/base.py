"""Contract of a format, and the bytes of a data file."""

import gzip
import hashlib
import io
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from throughtime.data.names import check_name
from throughtime.data.series import Origin, Rows, SeriesSet
from throughtime.errors import InputFileError
from throughtime.wording import reason_of

LARGEST_RATIO = 1000
"""How many times its size a compressed file may unfold to; more is taken for an attack."""

_PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class Format:
    """A format of data files.

    Attributes:
        name: as the option `format` takes it.
        suffixes: endings of the files, such as ".csv".
        read: reads a file of the format.
        extra: the packages of the extra `data` that it needs; empty for none.
        read_layout: reads a file whose axes have the order of a layout, such as "NCT"; None where a file says itself
            what its axes are.
    """

    name: str
    suffixes: tuple[str, ...]
    read: Callable[["Raw"], Rows | SeriesSet]
    extra: tuple[str, ...] = ()
    read_layout: Callable[["Raw", str], SeriesSet] | None = None


class Raw:
    """A data file, whole or compressed by gzip.

    Attributes:
        path: the file.
        bytes: its size.
        compressed: whether it is compressed by gzip.
        sha256: of its bytes, in hexadecimal.
        watch: is told the share that is read while `stream` is; None: nobody is.

    Args:
        path: the file.

    Raises:
        InputFileError: the file is missing, a folder, unreadable or empty.
    """

    def __init__(self, path: Path) -> None:
        check_name(str(path))
        self.path = path
        self.watch: Callable[[float], None] | None = None
        try:
            self.bytes = path.stat().st_size
            digest = hashlib.sha256()
            with path.open("rb") as handle:
                self.compressed = handle.read(2) == b"\x1f\x8b"
                handle.seek(0)
                while piece := handle.read(1 << 20):
                    digest.update(piece)
        except FileNotFoundError:
            raise InputFileError(f"FILE {path} does not exist; name a file of data.") from None
        except OSError as error:
            raise InputFileError(f"FILE {path} cannot be read: {reason_of(error)}.") from None
        if not self.bytes:
            raise InputFileError(f"FILE {path} is empty; name a file of data.")
        self.sha256 = digest.hexdigest()

    @property
    def origin(self) -> Origin:
        """Name, size and digest."""
        return Origin(str(self.path), self.bytes, self.sha256)

    def open(self) -> BinaryIO | gzip.GzipFile:
        """Return the bytes of the file, unfolded where it is compressed."""
        return gzip.open(self.path, "rb") if self.compressed else self.path.open("rb")

    def text(self, newline: str | None = "") -> io.TextIOWrapper:
        """Return the text of the file, to be read in pieces.

        A byte-order mark is left out. A `UnicodeDecodeError` on the way becomes a message through `undecodable`.

        Args:
            newline: as `open` takes it; "" leaves the ends of lines as they are.
        """
        return io.TextIOWrapper(self.stream(), encoding="utf-8-sig", newline=newline)

    def head(self, size: int = 1 << 16) -> bytes:
        """Return the first bytes of the file. Raises `InputFileError` where the file is damaged."""
        try:
            with self.open() as handle:
                return handle.read(size)
        except (OSError, EOFError, zlib.error) as error:
            raise InputFileError(f"FILE {self.path} cannot be read: {reason_of(error)}.") from None

    def content(self) -> bytes:
        """Return all bytes of the file.

        Raises:
            InputFileError: the file is damaged, or unfolds to a thousand times its size.
        """
        pieces = io.BytesIO()
        with self.stream() as handle:
            while piece := handle.read(_PIECE_BYTES):
                pieces.write(piece)
        return pieces.getvalue()

    def stream(self) -> io.BufferedReader:
        """Return the bytes of the file, unfolded; damage and attacks become messages."""
        return io.BufferedReader(_Unfolding(self), _PIECE_BYTES)

    def lines(self) -> Iterator[tuple[int, str]]:
        """Yield the lines with their numbers, counted from 1.

        Ends of lines and a byte-order mark are left out.

        Raises:
            InputFileError: the file is damaged, or is not text in UTF-8.
        """
        with self.text(newline=None) as text:
            try:
                for number, line in enumerate(text, start=1):
                    yield number, line.rstrip("\n")
            except UnicodeDecodeError:
                raise self.undecodable() from None

    def undecodable(self) -> InputFileError:
        """Return the error for a file with a line that is not UTF-8."""
        with self.stream() as handle:
            begins = handle.peek(2)[:2]
            number = next((number for number, line in enumerate(handle, start=1) if not _is_utf8(line)), 1)
        kind = "UTF-16" if begins in (b"\xff\xfe", b"\xfe\xff") else "not text in UTF-8"
        return InputFileError(f"FILE {self.path}, line {number}, is {kind}: convert the file to UTF-8.")

    def wrong(self, line: int, what: str) -> InputFileError:
        """Return the error for a line of the file."""
        return InputFileError(f"FILE {self.path}, line {line}: {what}.")


class _Unfolding(io.RawIOBase):
    """Bytes of a file, unfolded where it is compressed; damage and attacks become messages."""

    def __init__(self, raw: Raw) -> None:
        self._path, self._handle = raw.path, raw.open()
        self._raw = raw
        self._left = LARGEST_RATIO * max(raw.bytes, 1 << 20)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer)
        try:
            piece = self._handle.read(len(view))
        except (OSError, EOFError, zlib.error) as error:
            raise InputFileError(f"FILE {self._path} cannot be read: {reason_of(error)}.") from None
        self._left -= len(piece)
        if self._raw.watch is not None:
            self._raw.watch(os.lseek(self._handle.fileno(), 0, os.SEEK_CUR) / self._raw.bytes)
        if self._left < 0:
            raise InputFileError(
                f"FILE {self._path} unfolds to over {LARGEST_RATIO} times its size, which no data do; "
                "unfold it by hand if it is meant."
            )
        view[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        self._handle.close()
        super().close()


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
