"""Bytes from standard input, a file, or a growing file."""

import os
import select
import sys
from collections.abc import Iterator
from pathlib import Path

from throughtime.data.names import check_name
from throughtime.errors import ArgumentError, InputFileError
from throughtime.wording import reason_of

STANDARD_INPUT = "-"
"""Name of a source that stands for standard input."""

_PIECE_BYTES = 1 << 14
"""Most bytes of a piece."""

_WAIT_SECONDS = 0.25
"""Longest wait for new bytes before an empty piece is returned."""


class ByteStream:
    """The bytes of a source, in pieces.

    Args:
        source: a file, or "-" for standard input.
        follow: when the file ends, wait for it to grow.
        offset: number of bytes at the beginning of the file to skip, because they were read before.

    Raises:
        InputFileError: the file is missing, a folder, unreadable, or shorter than `offset`; standard input is closed.
        ArgumentError: `follow` with standard input.
    """

    def __init__(self, source: str, follow: bool = False, offset: int = 0) -> None:
        if source == STANDARD_INPUT and follow:
            raise ArgumentError(
                "follow",
                "is given for standard input",
                "it is for a file that grows; standard input is read to its end",
                "leave it out",
            )
        if source == STANDARD_INPUT and sys.stdin is None:
            raise InputFileError("Standard input is closed, so nothing can come from there: give a FILE, or a pipe.")
        self._source, self._follow, self._offset = source, follow, offset
        if source != STANDARD_INPUT:
            self._check_file()

    def pieces(self) -> Iterator[bytes]:
        """Yield the bytes in pieces of at most 16 KiB.

        A piece is b"" when no new byte came within a quarter of a second, so that the reader can do other work.

        Raises:
            InputFileError: the file cannot be read, or became shorter than what was read of it.
        """
        return self._of_standard_input() if self._source == STANDARD_INPUT else self._of_file()

    def _of_standard_input(self) -> Iterator[bytes]:
        descriptor = sys.stdin.fileno()
        while True:
            # Waiting in select, not in read: a read would go on waiting after Ctrl-C.
            if not select.select([descriptor], [], [], _WAIT_SECONDS)[0]:
                yield b""
                continue
            piece = os.read(descriptor, _PIECE_BYTES)
            if not piece:
                return
            yield piece

    def _of_file(self) -> Iterator[bytes]:
        try:
            with Path(self._source).open("rb") as handle:
                handle.seek(self._offset)
                while True:
                    piece = handle.read(_PIECE_BYTES)
                    self._offset += len(piece)
                    if piece:
                        yield piece
                        continue
                    if not self._follow:
                        return
                    select.select([], [], [], _WAIT_SECONDS)
                    self._check_file()
                    yield b""
        except OSError as error:
            raise InputFileError(f"FILE {self._source} cannot be read: {reason_of(error)}.") from None

    def _check_file(self) -> None:
        check_name(self._source)
        path = Path(self._source)
        if path.is_dir():
            raise InputFileError(f"FILE {path} is a folder; give a file, or - for standard input.")
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            raise InputFileError(f"FILE {path} does not exist; give a file, or - for standard input.") from None
        except OSError as error:
            raise InputFileError(f"FILE {path} cannot be read: {reason_of(error)}.") from None
        if size < self._offset:
            raise InputFileError(
                f"FILE {path} has {size} bytes, fewer than the {self._offset} that were read: the file is not "
                "the same stream any more; start a new run on it."
            )
