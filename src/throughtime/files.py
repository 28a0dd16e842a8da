"""Atomic file writes, and a lock that a process holds until it ends."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

ASIDE = ".partial"
"""Suffix of the name of an incomplete file."""


def replace_file(path: Path, content: bytes) -> None:
    """Write a file atomically; see `replaced_file`.

    Args:
        path: the file; its folder exists.
        content: all bytes of the file.

    Raises:
        OSError: the system refused to write.
    """
    with replaced_file(path) as handle:
        handle.write(content)


@contextmanager
def replaced_file(path: Path) -> Iterator[BinaryIO]:
    """Context in which a file is written in pieces, and replaces another at its end.

    A reader sees the old content or the new content, never a part. The content is written to a file beside `path`,
    flushed to the disk, and moved to `path`. On failure the old file stays, and the incomplete file is removed.

    Args:
        path: the file; its folder exists.

    Raises:
        OSError: the system refused to write.
    """
    aside = path.with_name(path.name + ASIDE)
    try:
        with aside.open("wb") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        aside.replace(path)
    except BaseException:  # also after Ctrl-C
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        raise


class LockHeldError(Exception):
    """Lock that is held elsewhere; the message names the process, its host, and since when."""


class FileLock:
    """Context in which no other process holds the lock of the same file.

    The system releases the lock when its process ends, however it ends: a file that a killed process left behind locks
    nothing. The file says who holds the lock, and is removed at the end of the context.

    Two things are not covered. On Windows, and on file systems that know no locks, the context holds nothing. On some
    network file systems a lock counts on its host only.

    Args:
        path: the file of the lock; its folder exists.

    Raises:
        LockHeldError: another process, or another context of this process, holds the lock.
        OSError: the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def __enter__(self) -> "FileLock":
        if fcntl is None:
            return self
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            if not _locked(descriptor):
                self._path.unlink(missing_ok=True)
                return self
            if self._is_file(descriptor):
                break
            os.close(descriptor)  # whoever held it has removed the file meanwhile
        self._descriptor = descriptor
        with suppress(OSError):  # on a full disk the lock holds all the same
            os.truncate(descriptor, 0)
            os.write(descriptor, _holder().encode())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is None:
            return
        with suppress(OSError):
            if self._is_file(self._descriptor):
                self._path.unlink()
        os.close(self._descriptor)
        self._descriptor = None

    def _is_file(self, descriptor: int) -> bool:
        """Return whether the path still leads to the open file."""
        try:
            return os.path.samestat(os.fstat(descriptor), os.stat(self._path))
        except FileNotFoundError:
            return False


def _locked(descriptor: int) -> bool:
    """Lock an open file, or close it; return whether its file system knows locks.

    Raises:
        LockHeldError: the lock is held.
    """
    assert fcntl is not None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 1000).decode("utf-8", "replace")
        os.close(descriptor)
        raise LockHeldError(holder or "another process") from None
    except OSError:
        os.close(descriptor)
        return False
    return True


def _holder() -> str:
    return f"process {os.getpid()} on {platform.node()} since {datetime.now():%Y-%m-%d %H:%M:%S}"
