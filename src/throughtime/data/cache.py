"""Rows of large files, kept between runs so that a file is read once."""

import json
import os
import shutil
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from throughtime.data.columns import Column, Numbers, Words
from throughtime.data.formats.base import Raw
from throughtime.data.large import blocks, cache_folder, cannot_write
from throughtime.data.series import Rows

LARGE = 200 << 20
"""Bytes of a file that is read into the cache; smaller ones are read into memory."""

_UNFOLDED = 5
"""How many times its size a compressed file is taken to unfold to."""

_SCHEMA = 1
"""Version of the cache's files."""

_INDEX = "index.json"


def is_large(raw: Raw) -> bool:
    """Return whether the rows of a file belong into files rather than into memory."""
    return raw.bytes * (_UNFOLDED if raw.compressed else 1) >= LARGE


def kept(raw: Raw, format: str, read: Callable[[], Rows]) -> Rows:
    """Return the rows of a large file, which are kept in the cache.

    The cache knows a file by its content. A cache that is damaged is made anew. Two processes may make the same at
    once: each makes its own, and the first that is complete stays.

    Args:
        raw: the file.
        format: the name of its format.
        read: reads the rows.

    Raises:
        InputFileError: the disk is full.
    """
    folder = cache_folder() / f"{format}-{raw.sha256[:32]}"
    rows = _loaded(folder, raw)
    if rows is None:
        told = _Progress(str(raw.path))
        raw.watch = told
        rows = read()
        raw.watch = None
        told.end()
        _store(folder, rows)
        rows = _loaded(folder, raw) or rows
    size = sum(path.stat().st_size for path in folder.iterdir()) if folder.is_dir() else 0
    note = f"Its {size / 1e9:.1f} GB of columns lie in the cache {folder}, which may be deleted at any time."
    return Rows(rows.origin, rows.columns, rows.rows, rows.lines, [*rows.notes, note])


def _store(folder: Path, rows: Rows) -> None:
    """Write rows to a folder of another name, which then gets its own."""
    aside = Path(tempfile.mkdtemp(prefix=f"{folder.name}.partial-", dir=folder.parent))
    try:
        index = {
            "schema": _SCHEMA,
            "rows": rows.rows,
            "notes": list(rows.notes),
            "lines": _write(aside / "lines", rows.lines),
            "columns": [
                {"name": name, **_described(column), **_write(aside / str(number), column.codes)}
                for number, (name, column) in enumerate(rows.columns.items())
            ],
        }
        (aside / _INDEX).write_text(json.dumps(index))
        shutil.rmtree(folder, ignore_errors=True)  # what is damaged
        with suppress(OSError):  # another process was faster
            aside.rename(folder)
    except OSError as error:
        raise cannot_write(folder, error) from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _described(column: Column) -> dict[str, Any]:
    if isinstance(column, Numbers):
        return {"whole": column.whole}
    return {"levels": list(column.levels)}


def _write(path: Path, values: NDArray[Any]) -> dict[str, int]:
    """Write an array to a file; return its checksum."""
    sum_of_bytes = 0
    with path.open("wb") as handle:
        for rows in blocks(len(values)):
            piece = np.ascontiguousarray(values[rows]).data
            sum_of_bytes = zlib.crc32(piece, sum_of_bytes)
            handle.write(piece)
        handle.flush()
        os.fsync(handle.fileno())
    return {"crc32": sum_of_bytes}


def _loaded(folder: Path, raw: Raw) -> Rows | None:
    """Return the rows of a cache; None where there is none, or a damaged one."""
    try:
        index = json.loads((folder / _INDEX).read_bytes())
        if index["schema"] != _SCHEMA:
            return None
        rows = index["rows"]
        lines = _mapped(folder / "lines", np.int64, rows, index["lines"])
        columns = {
            entry["name"]: _column(folder / str(number), rows, entry) for number, entry in enumerate(index["columns"])
        }
        return Rows(raw.origin, columns, rows, lines, index["notes"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _column(path: Path, rows: int, entry: Mapping[str, Any]) -> Column:
    if "levels" in entry:
        return Words(_mapped(path, np.int32, rows, entry), tuple(entry["levels"]))
    return Numbers(_mapped(path, np.float64, rows, entry), entry["whole"])


def _mapped(path: Path, dtype: type, rows: int, entry: Mapping[str, Any]) -> NDArray[Any]:
    """Return the array of a file. Raises `ValueError` where the file is damaged."""
    if path.stat().st_size != rows * np.dtype(dtype).itemsize:
        raise ValueError
    sum_of_bytes = 0
    with path.open("rb") as handle:
        while piece := handle.read(1 << 20):
            sum_of_bytes = zlib.crc32(piece, sum_of_bytes)
    if sum_of_bytes != entry["crc32"]:
        raise ValueError
    return np.memmap(path, dtype=dtype, mode="r", shape=(rows,))


class _Progress:
    """Line on how much of a file is read, where a terminal shows it."""

    def __init__(self, name: str) -> None:
        self._name, self._begun, self._told = name, time.monotonic(), 0.0

    def __call__(self, share: float) -> None:
        """Tell the share of the file that is read."""
        now = time.monotonic()
        if now - self._told > 0.5 and share > 0 and sys.stderr.isatty():
            self._told = now
            left = (now - self._begun) * (1 - share) / share
            sys.stderr.write(f"\r\033[KReading {self._name} into the cache: {share:.0%}, {left:.0f} s left")
            sys.stderr.flush()

    def end(self) -> None:
        """Clear the line."""
        if self._told:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
