"""Fields of text as columns: numbers where all fields are numbers, else words."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from throughtime.data.columns import ABSENT, EXACT, Column, Numbers, Words
from throughtime.data.extras import extra
from throughtime.data.large import GrowingArray
from throughtime.errors import UnsupportedError

MISSING = ("", "NA", "N/A", "NaN", "nan", "NAN", "null", "Null", "NULL", "?")
"""Fields that stand for a missing value."""

_MANY = 100_000
"""Rows from which it is worth to load Arrow, which reads numbers four times as fast."""

_LEADING_ZERO = re.compile(r"\n[+-]?0[0-9]")


def is_number(field: str, commas: bool = False) -> bool:
    """Return whether a field is a number by itself, where commas may be decimal commas."""
    return not _is_missing(field) and GrowingColumn(commas)._add_numbers([field])


class GrowingColumn:
    """A column as it grows, block by block: numbers, until a field is none.

    Args:
        commas: whether numbers may have decimal commas.
        words: whether the column is known to hold words.
        mapped: whether it lies in a file.
    """

    def __init__(self, commas: bool, words: bool = False, *, mapped: bool = False) -> None:
        self._commas, self._words = commas, words
        self._decimal, self._whole, self._rows = "", True, 0
        self._mapped, self._present = mapped, False
        self._values = GrowingArray(np.float64, mapped=mapped and not words)
        self._numbers = GrowingArray(np.int32, mapped=mapped and words)
        self._numbering = _Numbering()
        self._inexact: tuple[int, str] | None = None
        self.culprit: tuple[int, str] | None = None
        """Row and text of the first field that is no number, in a column that began with numbers."""
        self.late = False
        """Whether words came after numbers, whose text is gone: the file has to be read again."""

    def add(self, fields: Sequence[str]) -> None:
        """Take the fields of the next rows."""
        if not (self.late or self._words or self._add_numbers(fields)):
            self._turn_to_words(fields)
        if self._words:
            self._numbers.add(np.fromiter(map(self._numbering.__getitem__, fields), np.int32, len(fields)))
        self._rows += len(fields)

    def settle(self) -> None:
        """Make words of whole numbers that float64 cannot keep exactly, after the last row."""
        if self._inexact and self._whole and not (self._words or self.late):
            self.late, self.culprit = True, self._inexact

    def column(self) -> Column:
        """Return the whole column."""
        if self._words:
            return Words(self._numbers.array(), self._numbering.words())
        return Numbers(self._values.array(), self._whole)

    @property
    def has_commas(self) -> bool:
        """Whether the column is of numbers with decimal commas."""
        return not self._words and self._decimal == ","

    def _add_numbers(self, fields: Sequence[str]) -> bool:
        text = "\n".join(["", *fields])
        marks = [mark for mark in (".,", ".")[not self._commas] if mark in text]
        decimal = self._decimal or "".join(marks)
        if any(mark != decimal for mark in marks) or "_" in text or _LEADING_ZERO.search(text):
            return False
        points = [field.replace(",", ".") for field in fields] if decimal == "," else fields
        # Arrow takes "nan(x)" for a number, which Python does not.
        values = by_arrow(points) if self._rows >= _MANY and "(" not in text else None
        values = _values(points) if values is None else values
        if values is None:
            return False
        whole = not (decimal or "e" in text or "E" in text or np.isinf(values).any())
        if whole and self._inexact is None and (large := np.abs(values) >= EXACT).any():
            place = int(np.argmax(large))
            self._inexact = self._rows + place, fields[place]
        self._decimal, self._whole = decimal, self._whole and whole
        self._present = self._present or not np.isnan(values).all()
        self._values.add(values)
        return True

    def _turn_to_words(self, fields: Sequence[str]) -> None:
        self.late = self._present
        self._words = not self.late
        present = [place for place, field in enumerate(fields) if not _is_missing(field)]
        # A column that begins with a word is meant to hold words; in any other the first word may be a slip.
        if self.late or is_number(fields[present[0]], self._commas):
            probe = GrowingColumn(self._commas)
            probe._decimal = self._decimal
            place = next(place for place in present if not probe._add_numbers([fields[place]]))
            self.culprit = self._rows + place, fields[place]
        self._values = GrowingArray(np.float64, mapped=False)
        self._numbers = GrowingArray(np.int32, mapped=self._mapped)
        self._numbers.add(np.full(self._rows, ABSENT, dtype=np.int32))


class _Numbering(dict[str, int]):
    """Numbers of words by the order in which they come, and `ABSENT` for a missing value."""

    def __init__(self) -> None:
        super().__init__(dict.fromkeys(MISSING, ABSENT))
        self._absent = len(MISSING)

    def __missing__(self, word: str) -> int:
        if _is_missing(word):
            self._absent += 1
            number = ABSENT
        else:
            number = len(self) - self._absent
        self[word] = number
        return number

    def words(self) -> tuple[str, ...]:
        """Return the words, in the order of their numbers."""
        return tuple(word for word, number in self.items() if number != ABSENT)


def _is_missing(field: str) -> bool:
    return field.strip() in MISSING


def by_arrow(fields: Sequence[str]) -> NDArray[np.float64] | None:
    """Return the numbers of fields, as Python reads them.

    None: a field is missing, is no number or is written in a way that Arrow does not know, or pyarrow is not installed.

    Args:
        fields: without "(".
    """
    try:
        arrow = extra("pyarrow", "")
        return arrow.array(fields, arrow.string()).cast(arrow.float64()).to_numpy()
    except (UnsupportedError, ValueError):  # ArrowInvalid is a ValueError
        return None


def _values(fields: Sequence[str]) -> NDArray[np.float64] | None:
    """Return the numbers of fields, NaN where they are missing; None where a field is neither."""
    try:
        return np.fromiter(map(float, fields), np.float64, len(fields))
    except ValueError:
        pass
    try:
        numbers = (np.nan if _is_missing(field) else float(field) for field in fields)
        return np.fromiter(numbers, np.float64, len(fields))
    except ValueError:
        return None
