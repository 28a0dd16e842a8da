"""Files of a folder, a pattern or a list, and what they hold put together."""

import glob
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from throughtime.data.formats.assembly import (
    different_columns,
    join_columns,
    join_notes,
    join_origins,
    join_series,
    words_of,
)
from throughtime.data.formats.roles import part_of
from throughtime.data.names import check_name
from throughtime.data.series import Origin, Rows, SeriesSet
from throughtime.errors import ArgumentError, InputFileError
from throughtime.wording import listed, plural

FILE_COLUMN = "file"
"""Column that tells the file of a row, where the rows of several files are read together."""


@dataclass(frozen=True)
class Gathered:
    """Files to read.

    Attributes:
        paths: the files, in the order to read them.
        name: what the caller named.
        kind: what that is.
        notes: sentences on what was left out.
    """

    paths: list[Path]
    name: str
    kind: Literal["file", "folder", "pattern", "list"]
    notes: list[str]


def gather(source: str | Path | Sequence[str | Path]) -> Gathered:
    """Return the files of a path, a folder, a pattern or a list.

    The files of a folder, or of a pattern such as "data/*.csv", come in the order of their names, numbers by size.
    Hidden files and the folders within are left out.

    Raises:
        ArgumentError: the list is empty.
        InputFileError: the folder or pattern has no files.
    """
    if not isinstance(source, str | Path):
        if not source:
            raise ArgumentError("source", "is an empty list", "it must name at least one file")
        return Gathered([Path(path) for path in source], listed(source), "list", [])
    name, path = str(source), Path(source)
    check_name(name)
    if path.is_dir():
        return _files_among(list(path.iterdir()), name, "folder")
    # A file may have a name such as data[1].csv.
    if path.exists() or not glob.has_magic(name):
        return Gathered([path], name, "file", [])
    return _files_among([Path(entry) for entry in glob.glob(name, recursive=True)], name, "pattern")


def _files_among(entries: list[Path], name: str, kind: Literal["folder", "pattern"]) -> Gathered:
    seen = sorted((entry for entry in entries if not entry.name.startswith(".")), key=_natural)
    files = [entry for entry in seen if not entry.is_dir()]
    folders = [entry.name for entry in seen if entry.is_dir()]
    if not files:
        inside = f" but the folder{'s' * (len(folders) > 1)} {listed(folders[:3])}" if folders else ""
        said = f"is a folder with no files{inside}" if kind == "folder" else f"is a pattern that no files have{inside}"
        raise InputFileError(f"FILE {name} {said}; name a file or folder of data.")
    left = [*(entry.name for entry in entries if entry.name.startswith(".")), *folders]
    return Gathered(files, name, kind, [f"Hidden files and folders were left out: {listed(left)}."] if left else [])


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """Return a key that puts file 2 before file 10, and files whose numbers are the same in the order of the text."""
    pieces = re.split(r"([0-9]+)", str(path))
    return [(0, int(piece), "") if piece.isdigit() else (1, 0, piece) for piece in pieces] + [(1, 0, str(path))]


def suffix_of(path: Path) -> str:
    """Return the suffix of a file in small letters, without that of gzip."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


def stem_of(path: Path) -> str:
    """Return the name of a file without its suffix, and without that of gzip."""
    return Path(path.name[:-3] if path.name.lower().endswith(".gz") else path.name).stem


def counterpart_of(path: Path) -> Path | None:
    """Return X_TEST.ts, where it exists, for X_TRAIN.ts, and the other way round."""
    stem = stem_of(path)
    other = {"train": "test", "test": "train"}.get(part_of(stem), "")
    length = len("train") + len("test") - len(other)
    written = stem[len(stem) - length :]
    if not other or part_of(written) != part_of(stem):  # such as X_training
        return None
    cased = other.upper() if written.isupper() else other.capitalize() if written.istitle() else other
    beside = path.with_name(f"{stem[: len(stem) - length]}{cased}{path.name[len(stem) :]}")
    return beside if beside.is_file() else None


def join_files(
    name: str, paths: Sequence[Path], origins: Sequence[Origin], contents: Sequence[Rows | SeriesSet]
) -> Rows | SeriesSet:
    """Return what several files of one format hold as one set.

    The series of a file with a single one has the name of the file as its id. Rows get a column `FILE_COLUMN`.

    Args:
        name: what the caller named.
        paths: the files.
        origins: their names, sizes and digests.
        contents: what they hold.

    Raises:
        InputFileError: the columns of two files differ, or their names are the same without the suffixes.
    """
    origin, ids, names = join_origins(name, origins), _ids(paths), [f"FILE {path}" for path in paths]
    rows = [each for each in contents if isinstance(each, Rows)]
    if rows:
        return _join_rows(origin, rows, names, ids)
    series = [each for each in contents if isinstance(each, SeriesSet)]
    return join_series(origin, series, names, ids, [part_of(stem_of(path)) for path in paths])


def _ids(paths: Sequence[Path]) -> list[str]:
    """Return the names of files without their suffixes, and with their folders where two would be the same."""
    stems = [stem_of(path) for path in paths]
    if len(set(stems)) == len(stems):
        return stems
    full = [str(path.with_name(stem)) for path, stem in zip(paths, stems, strict=True)]
    for at, key in enumerate(full):
        if key in full[:at]:
            raise InputFileError(
                f"FILE {paths[full.index(key)]} and {paths[at]} have the same name without their suffixes, which is "
                "the id of what they hold; read only one of them."
            )
    return full


def _join_rows(origin: Origin, rows: Sequence[Rows], names: Sequence[str], ids: Sequence[str]) -> Rows:
    first = list(rows[0].columns)
    for name, part in zip(names, rows, strict=True):
        if list(part.columns) != first:
            raise InputFileError(different_columns(names[0], first, name, list(part.columns)))
    columns = {column: join_columns([part.columns[column] for part in rows], names, column) for column in first}
    added = FILE_COLUMN
    while added in columns:
        added += "_"
    files = words_of(ids).take(np.repeat(np.arange(len(ids)), [part.rows for part in rows]))
    said = f"{plural(len(rows), 'file')} were read, and the column {added} tells which of them a row is from."
    return replace(
        rows[0],
        origin=origin,
        columns={**columns, added: files},
        rows=sum(part.rows for part in rows),
        lines=np.concatenate([part.lines for part in rows]),
        notes=[said, *join_notes([part.notes for part in rows], names)],
        file_column=added,
    )
