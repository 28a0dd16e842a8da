"""Reading any data file: the format is chosen by its name and content; several files make a set."""

import glob
import importlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from throughtime.data.formats.assembly import (
    different_columns,
    join_columns,
    join_notes,
    join_origins,
    join_series,
    words_of,
)
from throughtime.data.formats.base import Format, Raw
from throughtime.data.formats.recognition import TEXT, binary_kind, text_kind
from throughtime.data.formats.roles import part_of
from throughtime.data.names import check_name
from throughtime.data.series import Rows, SeriesSet
from throughtime.errors import ArgumentError, InputFileError
from throughtime.wording import listed, plural

MODULES = ("separated", "jsonl", "frames", "ts", "tsf", "ucr", "arff", "arrays", "mat")
"""Modules of formats, each with its `FORMAT`."""

FILE_COLUMN = "file"
"""Column that tells the file of a row, where the rows of several files are read together."""


def formats() -> dict[str, Format]:
    """Return the formats by name."""
    known = {}
    for module in MODULES:
        try:
            made = importlib.import_module(f"throughtime.data.formats.{module}")
        except ModuleNotFoundError as error:
            if error.name != f"throughtime.data.formats.{module}":
                raise
            continue
        for each in getattr(made, "FORMATS", None) or [made.FORMAT]:
            known[each.name] = each
    return known


@dataclass(frozen=True)
class _Choice:
    """A file with the format chosen for it."""

    raw: Raw
    format: Format


def read(source: str | Path | Sequence[str | Path], format: str = "", layout: str = "") -> Rows | SeriesSet:
    """Return the series, or the rows, of a file or of several.

    The files of a folder or of a pattern such as "data/*.csv" are read in the order of their names, numbers by size.
    Files of series give a set: a file with a single series gives it its name as the id. Files of rows give their rows
    one after the other, with a column `FILE_COLUMN`.

    Args:
        source: a file, a folder, a pattern or a list of files.
        format: the name of the format; "" to choose it by the suffix, then by the content.
        layout: the axes of an array, such as "NCT"; "" for T, TC or NTC by their number.

    Raises:
        ArgumentError: no format has this name, or the format has no layout.
        InputFileError: a file cannot be read, is of no known format, or does not fit the others.
    """
    if isinstance(source, str | Path):
        paths, name, notes = _files_of(source)
    else:
        paths, name, notes = [Path(part) for part in source], listed(source), []
        if not paths:
            raise ArgumentError("source", "is an empty list", "it must name at least one file")
    if len(paths) == 1 and isinstance(source, str | Path) and Path(source) == paths[0]:
        choice = _choose(Raw(paths[0]), format)
        beside = _counterpart(paths[0])
        return _noted(_read(choice, layout), [beside] if beside else [])
    choices, others = _choose_together(
        [Raw(path) for path in paths], format, isinstance(source, str | Path) and Path(source).is_dir()
    )
    return _noted(_joined(name, choices, [_read(choice, layout) for choice in choices]), [*notes, *others])


def looks_like_text(path: Path) -> bool:
    """Return whether a file is prose, code or the like: text, and no table, series, archive or array.

    Raises:
        InputFileError: the file is missing, a folder, unreadable or empty.
    """
    head = Raw(path).head()
    return not binary_kind(head) and text_kind(head, _suffix(path)) == TEXT


def _files_of(source: str | Path) -> tuple[list[Path], str, list[str]]:
    """Return the files of a path or pattern in natural order, its name, and notes on those left out."""
    name = str(source)
    check_name(name)
    path = Path(source)
    if path.is_file() or not (path.is_dir() or glob.has_magic(name)):
        return [path], name, []
    entries = list(path.iterdir()) if path.is_dir() else [Path(entry) for entry in glob.glob(name, recursive=True)]
    hidden = [entry.name for entry in entries if entry.name.startswith(".")]
    folders = [entry.name for entry in entries if entry.is_dir() and entry.name not in hidden]
    files = [entry for entry in entries if entry.is_file() and entry.name not in hidden]
    if not files:
        kind = "folder without files" if path.is_dir() else "pattern that no file has"
        inside = f", only the folders {listed(sorted(folders)[:3])}" if folders else ""
        raise InputFileError(f"FILE {name} is a {kind}{inside}; name a file or folder of data.")
    left = sorted(hidden) + sorted(folders)
    notes = [f"Left out, as hidden files or folders: {listed(left)}."] if left else []
    return sorted(files, key=_natural), name, notes


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """Return a key that puts file 2 before file 10."""
    pieces = re.split(r"(\d+)", str(path))
    return [(0, int(piece), "") if piece.isdecimal() else (1, 0, piece) for piece in pieces] + [(1, 0, str(path))]


def _suffix(path: Path) -> str:
    """Return the suffix in small letters, without that of gzip."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


def _stem(path: Path) -> str:
    """Return the name without the suffix, and without that of gzip."""
    name = path.name[:-3] if path.name.lower().endswith(".gz") else path.name
    return Path(name).stem


def _choose(raw: Raw, format: str) -> _Choice:
    """Choose the format of a file.

    Raises:
        ArgumentError: there is no format of this name.
        InputFileError: the content is of no known format.
    """
    known = formats()
    if format:
        if format not in known:
            raise ArgumentError("format", f"is {format}", f"it must be {listed(known, 'or')}")
        return _Choice(raw, known[format])
    kind = _kind(raw)
    for each in known.values():
        if kind == each.name or kind in each.suffixes:
            return _Choice(raw, each)
    if kind == TEXT:
        raise InputFileError(
            f"FILE {raw.path} looks like text, not like series or a table; train on it as text, or name its format."
        )
    suffixes = listed([suffix for each in known.values() for suffix in each.suffixes])
    raise InputFileError(f"FILE {raw.path} is {kind}, which is not read; {suffixes} are, and .gz of them.")


def _kind(raw: Raw) -> str:
    """Return the suffix or name of a file's format, or what else it is."""
    head, suffix = raw.head(), _suffix(raw.path)
    if suffix == ".mat":  # MATLAB's files of version 4 have no signature
        return suffix
    # First bytes are certain, and a suffix is not: a .csv may be a Parquet file, a .ts a program.
    return binary_kind(head) or text_kind(head, suffix)


def _choose_together(raws: list[Raw], format: str, folder: bool) -> tuple[list[_Choice], list[str]]:
    """Choose the format of several files, which must be the same.

    A folder may hold other files, such as a README, which a note names.
    """
    choices, others = [], []
    for raw in raws:
        try:
            choices.append(_choose(raw, format))
        except InputFileError as error:
            if not folder:
                raise
            others.append((raw, error))
    if not choices:
        raise others[0][1]
    for choice in choices[1:]:
        if choice.format.name != choices[0].format.name:
            raise InputFileError(
                f"FILE {choice.raw.path} is of the format {choice.format.name} and {choices[0].raw.path} of "
                f"{choices[0].format.name}; name files of one format, for example by a pattern such as data/*.csv."
            )
    left = listed([raw.path.name for raw, _ in others])
    return choices, [f"Left out, as no files of data: {left}."] if others else []


def _read(choice: _Choice, layout: str) -> Rows | SeriesSet:
    if not layout:
        return choice.format.read(choice.raw)
    if choice.format.read_layout is None:
        raise ArgumentError(
            "layout",
            f"is {layout}, and {choice.raw.path} is of the format {choice.format.name}",
            "only arrays have one",
        )
    return choice.format.read_layout(choice.raw, layout)


def _counterpart(path: Path) -> str:
    """Return a note on the file beside X_TRAIN.ts that is X_TEST.ts, or the other way round; "" without one."""
    stem, part = _stem(path), part_of(_stem(path))
    other = {"train": "test", "test": "train"}.get(part, "")
    if not other:
        return ""
    written = stem[len(stem) - len(part) :]
    cased = other.upper() if written.isupper() else other.capitalize() if written.istitle() else other
    beside = path.with_name(path.name.replace(written, cased))
    return f"{beside.name} lies beside it, and was not read; name both files to read both." if beside.is_file() else ""


def _noted(data: Rows | SeriesSet, notes: list[str]) -> Rows | SeriesSet:
    return replace(data, notes=[*notes, *data.notes]) if notes else data


def _joined(name: str, choices: list[_Choice], sets: list[Rows | SeriesSet]) -> Rows | SeriesSet:
    origin = join_origins(name, [choice.raw.origin for choice in choices])
    paths = [choice.raw.path for choice in choices]
    ids = _ids(paths)
    names = [f"FILE {path}" for path in paths]
    rows = [data for data in sets if isinstance(data, Rows)]
    if rows:
        return replace(_join_rows(rows, names, ids), origin=origin)
    series = [data for data in sets if isinstance(data, SeriesSet)]
    return join_series(origin, series, names, ids, [part_of(_stem(path)) for path in paths])


def _ids(paths: list[Path]) -> list[str]:
    """Return the names of files without their suffixes, and with their folders where two would be the same."""
    stems = [_stem(path) for path in paths]
    if len(set(stems)) == len(stems):
        return stems
    full = [str(path.with_name(stem)) for path, stem in zip(paths, stems, strict=True)]
    for at, key in enumerate(full):
        if key in full[:at]:
            raise InputFileError(
                f"FILE {paths[full.index(key)]} and {paths[at]} have the same name without their suffixes, which is "
                "the id of a series; name one of them."
            )
    return full


def _join_rows(rows: list[Rows], names: list[str], ids: list[str]) -> Rows:
    first = list(rows[0].columns)
    for name, part in zip(names, rows, strict=True):
        if list(part.columns) != first:
            raise InputFileError(different_columns(names[0], first, name, list(part.columns)))
    columns = {c: join_columns([part.columns[c] for part in rows], names, c) for c in first}
    column = next(c for c in (FILE_COLUMN, f"{FILE_COLUMN} name", f"{FILE_COLUMN} read") if c not in columns)
    files = words_of(ids).take(np.repeat(np.arange(len(ids)), [part.rows for part in rows]))
    return Rows(
        rows[0].origin,
        {**columns, column: files},
        sum(part.rows for part in rows),
        np.concatenate([part.lines for part in rows]),
        [
            f"{plural(len(rows), 'file')} were read, and the column {column} tells which of them a row is from.",
            *join_notes([part.notes for part in rows], names),
        ],
    )
