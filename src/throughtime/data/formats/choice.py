"""Reading any data file: its content and its suffix choose the format."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from throughtime.data.formats.base import Format, Raw
from throughtime.data.formats.gathering import counterpart_of, gather, join_files, suffix_of
from throughtime.data.formats.recognition import TEXT, UCR, UNKNOWN, binary_kind, text_kind
from throughtime.data.series import Rows, SeriesSet
from throughtime.errors import ArgumentError, InputFileError
from throughtime.wording import listed

MODULES = ("separated", "jsonl", "parquet", "feather", "ts", "tsf", "ucr", "arff", "arrays", "mat")
"""Modules of formats, each with its `FORMAT`."""

_ON_UCR = "Each line was read as a class and a series, as no names of columns come first; the format csv reads a table."


@dataclass(frozen=True)
class _Choice:
    """A file with the format chosen for it."""

    raw: Raw
    format: Format
    notes: tuple[str, ...] = ()


def formats() -> dict[str, Format]:
    """Return the formats by name."""
    known = {}
    for module in MODULES:
        name = f"{__package__}.{module}"
        try:
            made: Format = importlib.import_module(name).FORMAT
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
        else:
            known[made.name] = made
    return known


def read(source: str | Path | Sequence[str | Path], format: str = "", layout: str = "") -> Rows | SeriesSet:
    """Return the series, or the rows, of a file or of several.

    Files of series give a set: a file with a single series gives it its name as the id. Files of rows give their rows
    one after the other, with a column that tells the file: see `join_files`.

    Args:
        source: a file, a folder, a pattern such as "data/*.csv" or a list of files; see `gather`.
        format: the name of the format; "" to choose it by the content and the suffix.
        layout: the axes of an array, such as "NCT"; "" for T, TC or NTC by their number.

    Raises:
        ArgumentError: no format has this name, or files of the format have no layout.
        InputFileError: a file cannot be read, is of no known format, or does not fit the others.
        UnsupportedError: the format needs a package that is not installed.
    """
    gathered = gather(source)
    if gathered.kind == "file":
        choice = _choose(Raw(gathered.paths[0]), format)
        data, beside = _read(choice, layout), counterpart_of(choice.raw.path)
        said = f"{beside.name} lies beside it and was not read; name both files to read both." if beside else ""
        return replace(data, notes=[*data.notes, said]) if said else data
    choices, notes = _choose_together([Raw(path) for path in gathered.paths], format, gathered.kind == "folder")
    data = join_files(
        gathered.name,
        [choice.raw.path for choice in choices],
        [choice.raw.origin for choice in choices],
        [_read(choice, layout) for choice in choices],
    )
    return replace(data, notes=[*gathered.notes, *notes, *data.notes])


def holds_series(path: Path) -> bool:
    """Return whether a file looks like a table, series, an archive or an array.

    Any other may be a text.

    Raises:
        InputFileError: the file is missing, a folder, unreadable or empty.
    """
    return _kind(Raw(path)) not in (TEXT, UNKNOWN)


def _choose(raw: Raw, format: str) -> _Choice:
    known = formats()
    if format:
        if format not in known:
            raise ArgumentError("format", f"is {format}", f"it must be {listed(known, 'or')}")
        return _Choice(raw, known[format])
    kind = _kind(raw)
    for each in known.values():
        if kind == each.name or kind in each.suffixes:
            return _Choice(raw, each, (_ON_UCR,) if kind == UCR else ())
    if kind == TEXT:
        raise InputFileError(
            f"FILE {raw.path} looks like text, not like series or a table; train on it as text, or name its format."
        )
    suffixes = listed([suffix for each in known.values() for suffix in each.suffixes])
    raise InputFileError(f"FILE {raw.path} is {kind}, which is not read; {suffixes} are, and .gz of them.")


def _kind(raw: Raw) -> str:
    """Return the suffix or name of a file's format, or what else it is."""
    head, suffix = raw.head(), suffix_of(raw.path)
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
            others.append((raw.path.name, error))
    if not choices:
        raise others[0][1]
    for choice in choices:
        if choice.format.name != choices[0].format.name:
            raise InputFileError(
                f"FILE {choices[0].raw.path} is of the format {choices[0].format.name} and {choice.raw.path} of "
                f"{choice.format.name}; name files of one format, for example by a pattern such as data/*.csv."
            )
    left = listed([name for name, _ in others])
    return choices, [f"Files that hold neither series nor a table were left out: {left}."] if others else []


def _read(choice: _Choice, layout: str) -> Rows | SeriesSet:
    if not layout:
        data = choice.format.read(choice.raw)
    elif choice.format.read_layout is not None:
        data = choice.format.read_layout(choice.raw, layout)
    else:
        came = f"is {layout}, and {choice.raw.path} is of the format {choice.format.name}"
        raise ArgumentError("layout", came, "only arrays have a layout", "leave it out")
    return replace(data, notes=[*choice.notes, *data.notes])
