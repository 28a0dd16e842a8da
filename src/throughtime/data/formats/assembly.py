"""Series put end to end, and sets of series put together."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from throughtime.data.clock import Clock
from throughtime.data.columns import ABSENT, Cell, Column, Numbers, Words
from throughtime.data.series import Origin, SeriesSet
from throughtime.errors import InputFileError
from throughtime.wording import listed, plural

Value = TypeVar("Value")


def column_names(count: int) -> list[str]:
    """Return names for columns without names, the same in all formats."""
    return ["value"] if count == 1 else [f"x{number}" for number in range(count)]


def assemble(
    origin: Origin,
    tables: Sequence[NDArray[np.float64]],
    whole: Sequence[bool],
    *,
    ids: Sequence[Cell] | None = None,
    statics: Mapping[str, Column] | None = None,
    label: Column | None = None,
    times: NDArray[np.datetime64] | None = None,
    notes: Sequence[str] = (),
) -> SeriesSet:
    """Return the set of some series.

    Args:
        origin: where they came from.
        tables: [steps, columns] of each series; a series without steps may have any number of columns.
        whole: [columns] whether all numbers of a column came without a decimal point.
        ids: the id of each series; None for their numbers, counted from 0.
        statics: name → column [series].
        label: column [series].
        times: [steps of all series].
        notes: sentences for the user; those on series without steps are added.
    """
    filled = [table for table in tables if len(table)] or [np.zeros((0, len(whole)))]
    ends = np.cumsum([len(table) for table in tables], dtype=np.int64)
    steps = np.concatenate(filled)
    bare = [number for number, table in enumerate(tables) if not len(table)]
    names = column_names(len(whole))
    return SeriesSet(
        origin,
        list(range(len(tables))) if ids is None else ids,
        np.concatenate([np.zeros(1, dtype=np.int64), ends]),
        {name: Numbers(np.ascontiguousarray(steps[:, c]), whole[c]) for c, name in enumerate(names)},
        statics or {},
        label,
        times,
        [*notes, *([f"{plural(len(bare), 'series')} without steps: {_first(bare)}."] if bare else [])],
        clock=None if times is None else Clock(),
    )


def _first(numbers: Sequence[object], most: int = 5) -> str:
    more = [f"{len(numbers) - most} more"] if len(numbers) > most else []
    return listed([*numbers[:most], *more])


def without_padding(tables: Sequence[NDArray[np.float64]]) -> tuple[list[NDArray[np.float64]], list[str]]:
    """Return series without the missing steps at their ends, and a note on them.

    Formats of series of equal lengths fill the ends of short series so. A step is missing where all of its columns are.
    """
    kept = []
    for table in tables:
        present = np.flatnonzero(~np.isnan(table).all(axis=1))
        kept.append(table[: present[-1] + 1 if len(present) else 0])
    cut = sum(len(short) < len(table) for short, table in zip(kept, tables, strict=True))
    if not cut:
        return kept, []
    said = f"At the ends of {plural(cut, 'series')}, steps without any value were taken for padding and left out."
    return kept, [said]


def words_of(cells: Sequence[str | None], levels: Sequence[str] = ()) -> Words:
    """Return the column of some words, with `levels` as its first levels. None is a missing word."""
    known = dict.fromkeys([*levels, *(cell for cell in cells if cell is not None)])
    numbers = {word: number for number, word in enumerate(known)}
    return Words(np.array([ABSENT if c is None else numbers[c] for c in cells], dtype=np.int32), tuple(known))


def check_ids(name: str, ids: Sequence[Cell]) -> None:
    """Raise `InputFileError` where two series have the same id."""
    seen: dict[Cell, int] = {}
    for number, key in enumerate(ids):
        if key in seen:
            raise InputFileError(
                f"{name}: the series {seen[key]} and {number}, counted from 0, both have the id {key!r}; an id must "
                "belong to a single series."
            )
        seen[key] = number


def join_columns(columns: Sequence[Column], names: Sequence[str], column: str) -> Column:
    """Return columns put end to end.

    Args:
        columns: the columns; the levels of words may differ.
        names: where each came from, for messages.
        column: its name, for messages.

    Raises:
        InputFileError: some hold numbers, others words.
    """
    # A column without a single value is one of numbers, whatever it would have held.
    words = [at for at, part in enumerate(columns) if isinstance(part, Words)]
    numbers = [at for at, part in enumerate(columns) if isinstance(part, Numbers) and not part.missing.all()]
    if words and numbers:
        raise InputFileError(
            f"The column {column} holds words in {names[words[0]]} and numbers in {names[numbers[0]]}; it must hold "
            "the same in all files."
        )
    if words:
        return _join_words(columns)
    parts = [part for part in columns if isinstance(part, Numbers)]
    return Numbers(np.concatenate([part.values for part in parts]), all(part.whole for part in parts))


def _join_words(columns: Sequence[Column]) -> Words:
    levels: dict[str, int] = {}
    pieces = []
    for part in columns:
        if isinstance(part, Numbers):
            pieces.append(np.full(len(part), ABSENT))
            continue
        table = np.array([levels.setdefault(word, len(levels)) for word in part.levels] + [ABSENT])
        pieces.append(table[part.numbers])  # ABSENT, which is -1, reads the last entry
    return Words(np.concatenate(pieces).astype(np.int32), tuple(levels))


def join_origins(name: str, origins: Sequence[Origin]) -> Origin:
    """Return the origin of several files together."""
    digest = hashlib.sha256("".join(origin.sha256 for origin in origins).encode())
    return Origin(name, sum(origin.bytes for origin in origins), digest.hexdigest())


def join_series(
    origin: Origin, sets: Sequence[SeriesSet], names: Sequence[str], ids: Sequence[str], parts: Sequence[str] = ()
) -> SeriesSet:
    """Return the series of several sets as one set.

    Args:
        origin: where they came from.
        sets: the sets, with the same columns.
        names: the name of each set, for messages.
        ids: what each set adds to the ids of its series: a series that is alone in its set takes it as its id; ids
            that two sets share get it in front.
        parts: the part of each set, "" for that of its series; empty where no set has one.

    Raises:
        InputFileError: the columns of two sets differ; the message names both.
    """
    columns = _join_mappings([s.columns for s in sets], names, "columns")
    statics = _join_mappings([s.statics for s in sets], names, "values per series")
    labels = _join_mappings([{} if s.label is None else {"label": s.label} for s in sets], names, "labels")
    timed = _all_or_none([s.times for s in sets], names, "times")
    counts = np.concatenate([s.lengths for s in sets])
    return SeriesSet(
        origin,
        _join_ids(sets, ids),
        np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts)]),
        columns,
        statics,
        labels.get("label"),
        np.concatenate(timed) if timed else None,
        join_notes([s.notes for s in sets], names),
        parts=_join_parts(sets, parts),
        files=[front for s, front in zip(sets, ids, strict=True) for _ in s.ids],
        clock=Clock() if timed else None,
    )


def join_notes(notes: Sequence[Sequence[str]], names: Sequence[str]) -> list[str]:
    """Return the notes on several files together.

    Each is said once, with the files that it is on unless it is on all.
    """
    where: dict[str, list[str]] = {}
    for name, said in zip(names, notes, strict=True):
        for note in said:
            where.setdefault(note, []).append(name)
    return [note if len(on) == len(names) else f"{_first(on, 3)}: {note}" for note, on in where.items()]


def _join_ids(sets: Sequence[SeriesSet], ids: Sequence[str]) -> list[Cell]:
    if all(len(s) == 1 for s in sets):
        return list(ids)
    together = [key for s in sets for key in s.ids]
    if len(set(together)) == len(together):
        return together
    return [f"{front}/{key}" for s, front in zip(sets, ids, strict=True) for key in s.ids]


def _join_parts(sets: Sequence[SeriesSet], parts: Sequence[str]) -> list[str]:
    given = parts or [""] * len(sets)
    every = [part or known for s, part in zip(sets, given, strict=True) for known in (s.parts or [""] * len(s))]
    return every if any(every) else []


def _join_mappings(mappings: Sequence[Mapping[str, Column]], names: Sequence[str], what: str) -> dict[str, Column]:
    first = list(mappings[0])
    for name, mapping in zip(names, mappings, strict=True):
        if list(mapping) != first:
            raise InputFileError(different_columns(names[0], first, name, list(mapping), what))
    return {column: join_columns([m[column] for m in mappings], names, column) for column in first}


def different_columns(
    name: str, columns: Sequence[str], other: str, others: Sequence[str], what: str = "columns"
) -> str:
    """Return the sentence that two files have different columns."""
    lists = [f"{listed(columns) or 'none'} in {name}", f"{listed(others) or 'none'} in {other}"]
    return f"The {what} differ: {lists[0]}, and {lists[1]}; files that are read together must have the same."


def _all_or_none(values: Sequence[Value | None], names: Sequence[str], what: str) -> list[Value]:
    present = [value for value in values if value is not None]
    if present and len(present) < len(values):
        with_it = next(name for name, value in zip(names, values, strict=True) if value is not None)
        without = next(name for name, value in zip(names, values, strict=True) if value is None)
        raise InputFileError(f"{with_it} has {what} and {without} has none; read them apart.")
    return present
