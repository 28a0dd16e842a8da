"""Bytes from standard input, a file, or a growing file."""

import os
import select
import sys
from collections.abc import Iterator
from pathlib import Path

from throughtime.errors import ArgumentError, InputFileError
from throughtime.wording import reason_of

STANDARD_INPUT = "-"
_AT_ONCE = 1 << 14
_PATIENCE = 0.25
"""Seconds between two checks for new bytes, or for the wish to stop."""


class ByteStream:
    """The bytes of a source, in pieces.

    Args:
        source: a file, or "-" for standard input.
        follow: when the file ends, wait for it to grow.
        offset: bytes of the file that have been read before.

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
            self._check_size()

    def pieces(self) -> Iterator[bytes]:
        """Yield pieces of at most 16 KB.

        The piece is b"" where nothing has come, so that the reader can do other work.
        """
        return self._of_standard_input() if self._source == STANDARD_INPUT else self._of_file()

    def _of_standard_input(self) -> Iterator[bytes]:
        descriptor = sys.stdin.fileno()
        while True:
            # Waiting in select, not in read: a read would go on waiting after Ctrl-C.
            if not select.select([descriptor], [], [], _PATIENCE)[0]:
                yield b""
                continue
            piece = os.read(descriptor, _AT_ONCE)
            if not piece:
                return
            yield piece

    def _of_file(self) -> Iterator[bytes]:
        try:
            with Path(self._source).open("rb") as handle:
                handle.seek(self._offset)
                while True:
                    piece = handle.read(_AT_ONCE)
                    self._offset += len(piece)
                    if piece:
                        yield piece
                        continue
                    if not self._follow:
                        return
                    yield from self._wait()
        except OSError as error:
            raise InputFileError(f"FILE {self._source} cannot be read: {reason_of(error)}.") from None

    def _wait(self) -> Iterator[bytes]:
        select.select([], [], [], _PATIENCE)
        self._check_size()
        yield b""

    def _check_size(self) -> None:
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
