"""Columns of data: numbers, or words by number."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Cell = str | int | float | None
"""Value of a field as it came; None where it is missing."""

ABSENT = -1
"""Number of a word that is missing."""


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

    def take(self, rows: NDArray[np.int64] | slice) -> "Numbers":
        """Return the column of some rows."""
        return Numbers(self.values[rows], self.whole)

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

    def take(self, rows: NDArray[np.int64] | slice) -> "Words":
        """Return the column of some rows, with the same levels."""
        return Words(self.numbers[rows], self.levels)

    def cell(self, row: int) -> Cell:
        """Return a word as it came."""
        number = int(self.numbers[row])
        return None if number == ABSENT else self.levels[number]


Column = Numbers | Words


def column_of(cells: Sequence[Cell]) -> Column:
    """Return the column of some cells.

    It is a column of numbers where all cells that are not missing are numbers, else of words. Text stays text here,
    even where it reads as a number: a reader of text decides that.
    """
    present = [cell for cell in cells if cell is not None]
    if all(isinstance(cell, int | float) for cell in present):
        values = np.array([np.nan if cell is None else cell for cell in cells], dtype=np.float64)
        return Numbers(values, whole=all(isinstance(cell, int) for cell in present))
    levels = {word: number for number, word in enumerate(dict.fromkeys(map(str, present)))}
    numbers = [ABSENT if cell is None else levels[str(cell)] for cell in cells]
    return Words(np.array(numbers, dtype=np.int32), tuple(levels))
