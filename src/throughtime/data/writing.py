"""Files of tables: CSV, JSON lines, Parquet."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from throughtime.data.clock import Clock, Times
from throughtime.data.columns import Cell, Column, Numbers, column_of
from throughtime.data.extras import extra
from throughtime.errors import ArgumentError, InputFileError
from throughtime.files import replaced_file
from throughtime.wording import listed, reason_of

SUFFIXES = (".csv", ".jsonl", ".parquet")

_BLOCK = 1 << 16
"""Rows that are written at once."""


@dataclass(frozen=True)
class Instants:
    """Column of times, written as they came.

    Attributes:
        values: [rows] in UTC; NaT where a time is missing.
        clock: how they came.
    """

    values: Times
    clock: Clock

    def __len__(self) -> int:
        return len(self.values)

    @cached_property
    def broken(self) -> bool:
        """Whether a time that came as a number is no whole number."""
        return bool((self.values.astype(np.int64)[~np.isnat(self.values)] % self.clock.scale).any())


Table = Mapping[str, Column | Instants]
"""Columns [rows] by their names."""


def check_output(path: Path) -> None:
    """Raise an error where a table cannot be written to a file, before any work.

    Raises:
        ArgumentError: the suffix is none of `SUFFIXES`, or the folder does not exist.
        UnsupportedError: the format needs a package that is not installed.
    """
    if path.suffix not in SUFFIXES:
        raise ArgumentError("output", f"is {path}", f"its name must end in {listed(SUFFIXES, 'or')}")
    if not path.parent.is_dir():
        raise ArgumentError("output", f"is {path}", f"the folder {path.parent} does not exist", "make it first")
    if path.suffix == ".parquet":
        extra("pyarrow.parquet", str(path))


def write_table(path: Path, table: Table) -> None:
    """Write a table to a file, whole or not at all.

    Some ten thousand rows are written at once. Times have their own form and zone; in Parquet, dates and times are of
    Arrow's types.

    Args:
        path: its suffix says the format; see `check_output`.
        table: the columns.

    Raises:
        InputFileError: the system refused to write.
    """
    try:
        with replaced_file(path) as handle:
            _WRITERS[path.suffix](handle, table)
    except OSError as error:
        raise InputFileError(f"{path} cannot be written: {reason_of(error)}.") from None


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows with the same columns to a file; see `write_table`.

    Args:
        path: the file.
        rows: column → value: a text, a number or None.

    Raises: see `write_table`.
    """
    write_table(path, {name: column_of([row[name] for row in rows]) for name in (rows[0] if rows else ())})


def _csv(handle: BinaryIO, table: Table) -> None:
    text = io.TextIOWrapper(handle, encoding="utf-8", errors="surrogatepass", newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    for rows in _blocks(table):
        writer.writerows(zip(*(_cells(column, rows) for column in table.values()), strict=True))
    text.detach()  # which writes what is left, and leaves the file open


def _jsonl(handle: BinaryIO, table: Table) -> None:
    encode, names = json.JSONEncoder(ensure_ascii=False).encode, list(table)
    for rows in _blocks(table):
        columns = (_cells(column, rows) for column in table.values())
        lines = [encode(dict(zip(names, cells, strict=True))) for cells in zip(*columns, strict=True)]
        handle.write("\n".join([*lines, ""]).encode("utf-8", "surrogatepass"))


def _parquet(handle: BinaryIO, table: Table) -> None:
    arrow, parquet = extra("pyarrow", "A Parquet file"), extra("pyarrow.parquet", "A Parquet file")
    schema = arrow.schema([(name, _arrow_type(column)) for name, column in table.items()])
    with parquet.ParquetWriter(handle, schema) as writer:
        for rows in _blocks(table):
            kinds = zip(table.values(), schema.types, strict=True)
            arrays = [_arrow_cells(column, rows, kind) for column, kind in kinds]
            writer.write_table(arrow.Table.from_arrays(arrays, schema=schema))


_WRITERS = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}


def _blocks(table: Table) -> Iterator[slice]:
    rows = len(next(iter(table.values()))) if table else 0
    return (slice(start, min(start + _BLOCK, rows)) for start in range(0, rows, _BLOCK))


def _cells(column: Column | Instants, rows: slice) -> list[Cell]:
    """Return some cells as they came; None where they are missing."""
    if isinstance(column, Instants):
        cells, missing = _times(column, rows), np.isnat(column.values[rows])
    elif isinstance(column, Numbers):
        values = column.values[rows]
        missing = np.isnan(values)
        cells = (np.where(missing, 0, values).astype(np.int64) if column.whole else values).tolist()
    else:
        numbers = column.numbers[rows]
        cells, missing = np.array([*column.levels, ""], dtype=object)[numbers].tolist(), numbers < 0
    for row in np.flatnonzero(missing).tolist():
        cells[row] = None
    return cells


def _times(column: Instants, rows: slice) -> list[Any]:
    times, scale = column.values[rows], column.clock.scale
    if scale:
        ticks = times.astype(np.int64)
        return (ticks / scale if column.broken else ticks // scale).tolist()
    # Series have times in common, and each is printed once.
    distinct, places = np.unique(times, return_inverse=True)
    return np.array(column.clock.printed(distinct), dtype=object)[places].tolist()


def _arrow_type(column: Column | Instants) -> Any:
    arrow = extra("pyarrow", "A Parquet file")
    if isinstance(column, Numbers):
        return arrow.int64() if column.whole else arrow.float64()
    if not isinstance(column, Instants) or column.clock.precision in ("Y", "M"):
        return arrow.string()
    clock = column.clock
    if clock.scale:
        return arrow.float64() if column.broken else arrow.int64()
    if clock.precision == "D" and not clock.zone:
        return arrow.date32()
    unit = clock.precision if clock.precision in ("ms", "us", "ns") else "s"
    return arrow.timestamp(unit, {"": None, "Z": "UTC"}.get(clock.zone, clock.zone))


def _arrow_cells(column: Column | Instants, rows: slice, kind: Any) -> Any:
    """Return some cells as an array of pyarrow."""
    arrow = extra("pyarrow", "A Parquet file")
    if isinstance(column, Instants) and arrow.types.is_temporal(kind):
        unit = "D" if arrow.types.is_date(kind) else kind.unit
        return arrow.array(column.values[rows].astype(f"datetime64[{unit}]")).cast(kind)
    return arrow.array(_cells(column, rows), kind)
