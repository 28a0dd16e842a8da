"""Files of rows: CSV, JSON lines, Parquet."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from throughtime.data.extras import extra
from throughtime.errors import ArgumentError, InputFileError
from throughtime.files import replace_file
from throughtime.wording import listed, reason_of

SUFFIXES = (".csv", ".jsonl", ".parquet")


def check_output(path: Path) -> None:
    """Raise an error where rows cannot be written to a file, before any work.

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


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows with the same columns to a file, whole or not at all.

    Args:
        path: its suffix says the format; see `check_output`.
        rows: column → value.

    Raises:
        InputFileError: the system refused to write.
    """
    try:
        replace_file(path, _WRITERS[path.suffix](rows))
    except OSError as error:
        raise InputFileError(f"{path} cannot be written: {reason_of(error)}.") from None


def _csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode("utf-8", "surrogatepass")


def _jsonl(rows: Sequence[Mapping[str, Any]]) -> bytes:
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows).encode("utf-8", "surrogatepass")


def _parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    arrow, parquet = extra("pyarrow", "A Parquet file"), extra("pyarrow.parquet", "A Parquet file")
    content = io.BytesIO()
    parquet.write_table(arrow.Table.from_pylist([dict(row) for row in rows]), content)
    return content.getvalue()


_WRITERS = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
