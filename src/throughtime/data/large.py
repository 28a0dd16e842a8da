"""Arrays that are larger than memory, in files that the system maps."""

import os
import tempfile
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from throughtime.errors import InputFileError
from throughtime.wording import reason_of

BLOCK = 1 << 18
"""Rows that are worked on at once, where not all of them fit into memory."""


def cache_folder() -> Path:
    """Return the folder of what is kept between runs.

    It is that of the variable THROUGHTIME_CACHE, else `throughtime` in XDG_CACHE_HOME or in ~/.cache. It may be deleted
    at any time.

    Raises:
        InputFileError: the folder cannot be made.
    """
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "throughtime"
    folder = Path(os.environ.get("THROUGHTIME_CACHE") or usual)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from None
    return folder


def cannot_write(path: Path, error: OSError) -> InputFileError:
    """Return the error for a cache that the system refuses to write."""
    return InputFileError(
        f"The cache {path} cannot be written: {reason_of(error)}. Data that are larger than memory need several times "
        "their size there; name a folder with more room in the variable THROUGHTIME_CACHE."
    )


def is_mapped(values: NDArray[Any]) -> bool:
    """Return whether an array lies in a file, as should what is computed from it."""
    return isinstance(values, np.memmap)


class GrowingArray:
    """Array that grows at its end, in memory or in a file.

    Args:
        dtype: the type of the numbers.
        mapped: whether it lies in a file, which has no name and goes with its last use.
    """

    def __init__(self, dtype: Any, *, mapped: bool) -> None:
        self._dtype = np.dtype(dtype)
        self._pieces: list[NDArray[Any]] = []
        self._file: BinaryIO | None = _unnamed_file() if mapped else None
        if self._file is not None:
            weakref.finalize(self, self._file.close)
        self._shape: tuple[int, ...] = (0,)

    def add(self, values: NDArray[Any]) -> None:
        """Add rows.

        Raises:
            InputFileError: the disk is full.
        """
        values = np.ascontiguousarray(values, dtype=self._dtype)
        self._shape = (self._shape[0] + len(values), *values.shape[1:])
        if self._file is None:
            self._pieces.append(values)
            return
        try:
            self._file.write(values.reshape(-1).view(np.uint8).data)
        except OSError as error:
            raise cannot_write(cache_folder(), error) from None

    def array(self) -> NDArray[Any]:
        """Return all rows."""
        if self._file is None:
            return np.concatenate([*self._pieces, np.zeros((0, *self._shape[1:]), self._dtype)])
        if not self._shape[0]:
            return np.zeros(self._shape, self._dtype)
        try:
            self._file.flush()
        except OSError as error:
            raise cannot_write(cache_folder(), error) from None
        return np.memmap(self._file, dtype=self._dtype, mode="r", shape=self._shape)


def _unnamed_file() -> BinaryIO:
    folder = cache_folder()
    try:
        return tempfile.TemporaryFile(dir=folder)  # type: ignore[return-value]
    except OSError as error:
        raise cannot_write(folder, error) from None


def blocks(rows: int) -> Iterator[slice]:
    """Yield the rows in blocks."""
    return (slice(start, min(start + BLOCK, rows)) for start in range(0, rows, BLOCK))


def computed(values: Callable[[slice], NDArray[Any]], rows: int, *, mapped: bool) -> NDArray[Any]:
    """Return an array that is computed block by block.

    Args:
        values: function from a slice of rows to their values.
        rows: how many rows.
        mapped: whether the array lies in a file; if not, it is computed at once.
    """
    if not mapped or not rows:
        return values(slice(0, rows))
    growing: GrowingArray | None = None
    for block in blocks(rows):
        piece = values(block)
        growing = growing or GrowingArray(piece.dtype, mapped=True)
        growing.add(piece)
    assert growing is not None
    return growing.array()


def distinct_of(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distinct numbers, in their order, those that are missing left out."""
    distinct = np.unique(np.concatenate([*(np.unique(values[rows]) for rows in blocks(len(values))), np.zeros(0)]))
    return distinct[~np.isnan(distinct)]


def taken(values: NDArray[Any], rows: NDArray[np.int64] | slice) -> NDArray[Any]:
    """Return some rows of an array, in a file where the array lies in one."""
    if isinstance(rows, slice) or not is_mapped(values):
        return values[rows]
    return computed(lambda block: values[rows[block]], len(rows), mapped=True)
