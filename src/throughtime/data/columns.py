"""Columns of data: numbers, or words by number."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from throughtime.data.large import blocks, computed, is_mapped, taken

Cell = str | int | float | None
"""Value of a field as it came; None where it is missing."""

ABSENT = -1
"""Number of a word that is missing."""

EXACT = 2**53
"""Bound of the whole numbers that a column of numbers keeps exactly; larger ones stay words, as ids need."""


@dataclass(frozen=True)
class Numbers:
    """Column of numbers.

    Attributes:
        values: [rows]; NaN where a number is missing.
        whole: whether every number came without a decimal point, as ids and classes do.
    """

    values: NDArray[np.float64]
    whole: bool = False

    def __len__(self) -> int:
        return len(self.values)

    @property
    def missing(self) -> NDArray[np.bool_]:
        """True [rows] where a number is missing."""
        return np.isnan(self.values)

    @property
    def codes(self) -> NDArray[np.float64]:
        """The numbers [rows]."""
        return self.values

    def take(self, rows: NDArray[np.int64] | slice) -> "Numbers":
        """Return the column of some rows."""
        return Numbers(taken(self.values, rows), self.whole)

    def cell(self, row: int) -> Cell:
        """Return a value as it came."""
        value = float(self.values[row])
        if np.isnan(value):
            return None
        return int(value) if self.whole else value


@dataclass(frozen=True)
class Words:
    """Column of words, such as categories, classes and ids.

    Attributes:
        numbers: [rows] of `levels`; `ABSENT` where a word is missing.
        levels: the distinct words, in the order of their first row.
    """

    numbers: NDArray[np.int32]
    levels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def missing(self) -> NDArray[np.bool_]:
        """True [rows] where a word is missing."""
        return self.numbers == ABSENT

    @property
    def codes(self) -> NDArray[np.int32]:
        """The numbers of the words [rows]."""
        return self.numbers

    def take(self, rows: NDArray[np.int64] | slice) -> "Words":
        """Return the column of some rows, with the same levels."""
        return Words(taken(self.numbers, rows), self.levels)

    def cell(self, row: int) -> Cell:
        """Return a word as it came."""
        number = int(self.numbers[row])
        return None if number == ABSENT else self.levels[number]


Column = Numbers | Words


def column_of(cells: Sequence[Cell]) -> Column:
    """Return the column of some cells.

    It is a column of numbers where all cells that are not missing are numbers, else of words. Text stays text here,
    even where it reads as a number: a reader of text decides that. A whole number that float64 cannot keep exactly
    makes a column of words too.
    """
    present = [cell for cell in cells if cell is not None]
    if all(isinstance(cell, int | float) and is_exact(cell) for cell in present):
        values = np.array([np.nan if cell is None else cell for cell in cells], dtype=np.float64)
        return Numbers(values, whole=all(isinstance(cell, int) for cell in present))
    levels = {word: number for number, word in enumerate(dict.fromkeys(map(spelled, present)))}
    numbers = [ABSENT if cell is None else levels[spelled(cell)] for cell in cells]
    return Words(np.array(numbers, dtype=np.int32), tuple(levels))


def is_exact(cell: Cell) -> bool:
    """Return whether float64 keeps a cell exactly, if it is a whole number."""
    return not isinstance(cell, int) or abs(cell) <= EXACT


def spelled(cell: str | int | float) -> str:
    """Return a cell as a word.

    A number reads the same whether it stands in a column of whole numbers or not.
    """
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() and abs(cell) <= EXACT else str(cell)


def joined(columns: Sequence[Column]) -> Column:
    """Return the column of all rows of several columns, end to end.

    It is a column of numbers where all of them are, or hold nothing, else of words.
    """
    filled = [column for column in columns if not column.missing.all()]
    if all(isinstance(column, Numbers) for column in filled):
        numbers = [column if isinstance(column, Numbers) else _nothing(len(column)) for column in columns]
        whole = all(column.whole for column in numbers if not column.missing.all())
        return Numbers(np.concatenate([*(column.values for column in numbers), np.zeros(0)]), whole)
    words = [as_words(column) for column in columns]
    levels = {word: number for number, word in enumerate(dict.fromkeys(word for part in words for word in part.levels))}
    places = [np.array([*(levels[word] for word in part.levels), ABSENT], dtype=np.int32) for part in words]
    # ABSENT, -1, leads to the last place, which is ABSENT again.
    return Words(
        np.concatenate([place[part.numbers] for place, part in zip(places, words, strict=True)]), tuple(levels)
    )


def by_first_row(words: Words) -> Words:
    """Return a column of words with its levels in the order of their first row.

    Levels that no row has are left out.
    """
    numbers = words.numbers
    firsts = np.full(len(words.levels) + 1, len(numbers))
    for rows in reversed([*blocks(len(numbers))]):
        firsts[numbers[rows][::-1]] = np.arange(rows.start, rows.stop)[::-1]  # of several, the last is kept
    levels = np.argsort(firsts[:-1], kind="stable")[: int((firsts[:-1] < len(numbers)).sum())]
    places = np.full(len(words.levels) + 1, ABSENT, dtype=np.int32)
    places[levels] = np.arange(len(levels))
    # ABSENT, -1, leads to the last place, which is ABSENT again.
    known = tuple(words.levels[level] for level in levels.tolist())
    return Words(computed(lambda rows: places[numbers[rows]], len(numbers), mapped=is_mapped(numbers)), known)


def as_words(column: Column) -> Words:
    """Return a column as words; numbers are spelled out."""
    if isinstance(column, Words):
        return column
    words = column_of([None if cell is None else spelled(cell) for cell in map(column.cell, range(len(column)))])
    return words if isinstance(words, Words) else Words(np.full(len(column), ABSENT, dtype=np.int32), ())


def _nothing(rows: int) -> Numbers:
    return Numbers(np.full(rows, np.nan), whole=True)
