"""JSON lines: an object per line, whose keys are columns."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from throughtime.data.columns import Cell, Column, Numbers, column_of, is_exact, joined
from throughtime.data.formats.base import Format, Raw
from throughtime.data.notes import missing_notes, named, shortened, were
from throughtime.data.series import Rows
from throughtime.errors import InputFileError

_BLOCK = 1 << 16
"""Rows that are converted at once."""


class _Keys:
    """Columns of the keys so far, a piece of each per block of rows."""

    def __init__(self) -> None:
        self._pieces: dict[str, list[Column]] = {}
        self._rows = 0
        self.truths: set[str] = set()
        """Keys with a value that is true or false."""
        self.numeric: set[str] = set()
        """Keys with a value that is a number."""
        self.first_words: dict[str, tuple[int, str]] = {}
        """Row and text of the first value of each key that is no number."""

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        """Take the next rows; a key that a row lacks is missing there."""
        for name in dict.fromkeys(name for row in rows for name in row):
            cells = [row.get(name) for row in rows]
            self._look(name, cells)
            earlier = [column_of([None] * self._rows)] if self._rows else []
            self._pieces.setdefault(name, earlier).append(column_of([_cell(cell) for cell in cells]))
        self._rows += len(rows)
        for pieces in self._pieces.values():
            if absent := self._rows - sum(map(len, pieces)):
                pieces.append(column_of([None] * absent))

    def _look(self, name: str, cells: Sequence[Cell]) -> None:
        types = set(map(type, cells))
        if bool in types:
            self.truths.add(name)
        if types & {int, float}:
            self.numeric.add(name)
        if name not in self.first_words and types & {str, int}:
            words = ((row, cell) for row, cell in enumerate(cells) if isinstance(cell, str) or not is_exact(cell))
            for row, cell in words:
                self.first_words[name] = self._rows + row, str(cell)
                break

    def columns(self) -> dict[str, Column]:
        """Return the whole columns."""
        return {name: joined(pieces) for name, pieces in self._pieces.items()}


def read(raw: Raw) -> Rows:
    """Read a file with a JSON object per line.

    A column is of numbers where all its values are numbers, true (1), false (0), or missing, else of words. A key that
    a line lacks is missing there, as is null.

    Raises:
        InputFileError: a line is no object, has a key twice or a value that is a list or an object, or there are no
            rows.
    """
    keys, lines, block, blank = _Keys(), [], [], 0
    for line, text in raw.lines():
        if not text.strip():
            blank += 1
            continue
        block.append(_row(raw, line, text))
        lines.append(line)
        if len(block) == _BLOCK:
            keys.add(block)
            block = []
    keys.add(block)
    columns = keys.columns()
    if not columns:
        raise InputFileError(f"FILE {raw.path} has no rows with keys; write a JSON object per line.")
    notes = [f"{were(blank, 'empty line')} left out."] if blank else []
    notes += [*_notes_on_types(keys, columns, lines), *missing_notes(columns)]
    return Rows(raw.origin, columns, len(lines), np.array(lines, dtype=np.int64), notes)


FORMAT = Format("jsonl", (".jsonl", ".ndjson"), read)


def _notes_on_types(keys: _Keys, columns: dict[str, Column], lines: Sequence[int]) -> list[str]:
    truths = [name for name, column in columns.items() if name in keys.truths and isinstance(column, Numbers)]
    notes = [f"True counts as 1 and false as 0 in {named(truths)}."] if truths else []
    for name, (row, text) in keys.first_words.items():
        if name in keys.numeric:
            notes.append(f"Column {name!r} is read as words, because line {lines[row]} has {shortened(text)}.")
    return notes


def _cell(value: Cell) -> Cell:
    """Return a value as a cell: NaN is missing, and true and false are 1 and 0."""
    if isinstance(value, bool):
        return int(value)
    return None if value != value else value


def _row(raw: Raw, line: int, text: str) -> dict[str, Any]:
    try:
        row = json.loads(text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError) as error:
        said = f"column {error.colno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else str(error)
        raise raw.wrong(line, f"is no JSON ({said}): write an object per line") from None
    if not isinstance(row, _Pairs):
        raise raw.wrong(line, f'is {_kind(row)}, no JSON object: write an object per line, such as {{"y": 1.5}}')
    values = dict(row)
    for key, value in row:
        if isinstance(value, list):  # `_Pairs` is a list too
            raise raw.wrong(line, f"key {key!r}, is {_kind(value)}: spread it over keys of their own")
    if len(values) < len(row):
        names = [key for key, _ in row]
        twice = next(key for key in names if names.count(key) > 1)
        raise raw.wrong(line, f"has the key {twice!r} twice: leave one out")
    return values


class _Pairs(list[tuple[str, Any]]):
    """Keys and values of an object, in order, a key that comes twice included."""


def _kind(value: object) -> str:
    kinds = {_Pairs: "an object", list: "a list", str: "a text", bool: "a truth value", type(None): "null"}
    return kinds.get(type(value), "a number")
