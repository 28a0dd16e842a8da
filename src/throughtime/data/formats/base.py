"""Contract of a format, and the bytes of a data file."""

import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from throughtime.data.names import check_name
from throughtime.data.series import Origin, Rows, SeriesSet
from throughtime.errors import InputFileError
from throughtime.wording import reason_of

LARGEST_RATIO = 1000
"""How many times its size a compressed file may unfold to; more is taken for an attack."""


@dataclass(frozen=True)
class Format:
    """A format of data files.

    Attributes:
        name: as `--format` takes it.
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

    Args:
        path: the file.

    Raises:
        InputFileError: the file is missing, a folder, unreadable or empty.
    """

    def __init__(self, path: Path) -> None:
        check_name(str(path))
        self.path = path
        try:
            self.bytes = path.stat().st_size
            digest = hashlib.sha256()
            with path.open("rb") as handle:
                self._compressed = handle.read(2) == b"\x1f\x8b"
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
        return gzip.open(self.path, "rb") if self._compressed else self.path.open("rb")

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
        pieces, total = io.BytesIO(), 0
        try:
            with self.open() as handle:
                while piece := handle.read(1 << 20):
                    total += len(piece)
                    if total > LARGEST_RATIO * max(self.bytes, 1 << 20):
                        raise InputFileError(
                            f"FILE {self.path} unfolds to over {LARGEST_RATIO} times its size, which no data do; "
                            "unfold it by hand if it is meant."
                        )
                    pieces.write(piece)
        except (OSError, EOFError, zlib.error) as error:
            raise InputFileError(f"FILE {self.path} cannot be read: {reason_of(error)}.") from None
        return pieces.getvalue()

    def lines(self) -> Iterator[tuple[int, str]]:
        """Yield the lines with their numbers, counted from 1.

        Ends of lines and a byte-order mark are left out.

        Raises:
            InputFileError: the file is damaged, or is not text in UTF-8.
        """
        try:
            text = self.content().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = self.content()[: error.start].count(b"\n") + 1
            raise InputFileError(
                f"FILE {self.path}, line {line}, is not text in UTF-8: convert the file to UTF-8."
            ) from None
        for number, line in enumerate(io.StringIO(text, newline=None), start=1):
            yield number, line.rstrip("\n")

    def wrong(self, line: int, what: str) -> InputFileError:
        """Return the error for a line of the file."""
        return InputFileError(f"FILE {self.path}, line {line}: {what}.")
