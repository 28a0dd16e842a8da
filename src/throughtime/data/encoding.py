"""Columns as the numbers that a model reads."""

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from throughtime.data.columns import ABSENT, Column, Numbers, Words
from throughtime.data.large import blocks, computed, is_mapped
from throughtime.data.running import divisor
from throughtime.errors import InputFileError

MOST_WORDS = 200
"""Distinct words of a column that are read one by one; a column of more is free text or an id."""
_UNKNOWN_SHARE = 0.01
"""Share of the words of a training part that are read as unknown, so that the place of unknown words is trained."""


@dataclass(frozen=True)
class Feature:
    """How a column is read.

    Attributes:
        name: of the column.
        levels: the words, in the order of their places; one more place is for unknown ones. Empty for numbers.
        mean, spread: of the numbers of the training part; what is read is (number - mean) / spread.
        gaps: whether a place tells that a value was missing.
    """

    name: str
    levels: tuple[str, ...] = ()
    mean: float = 0.0
    spread: float = 1.0
    gaps: bool = False

    @property
    def width(self) -> int:
        """Number of places."""
        return (len(self.levels) + 1 if self.levels else 1) + self.gaps

    @classmethod
    def fit(cls, name: str, column: Column) -> "Feature":
        """Return how a column is read, from its training part.

        Raises:
            InputFileError: the column has too many words, or numbers that are not finite.
        """
        gaps = bool(column.missing.any())
        if isinstance(column, Words):
            if len(column.levels) > MOST_WORDS:
                raise InputFileError(
                    f"The column {name} has {len(column.levels):,} different words, above {MOST_WORDS}, so it is no "
                    "category: name it in `ignore`, or in `id` if it tells the series apart."
                )
            return cls(name, column.levels, gaps=gaps)
        if np.isinf(column.values).any():
            raise InputFileError(f"The column {name} holds an infinite number: correct it, or leave the field empty.")
        mean, spread = _mean_and_spread(column.values)
        return cls(name, (), mean, divisor(spread, mean), gaps)

    def read(self, column: Column, chance: np.random.Generator | None = None) -> NDArray[np.float32]:
        """Return a column as the model reads it [rows, width]; a missing value is 0.

        Args:
            column: of the kind that the feature was fitted to.
            chance: for the training part: draws the words that are read as unknown.

        Raises:
            InputFileError: the column holds words where numbers were, or the reverse.
        """
        if isinstance(column, Words) != bool(self.levels):
            came, was = ("words", "numbers") if isinstance(column, Words) else ("numbers", "words")
            raise InputFileError(f"The column {self.name} holds {came}; in training it held {was}: give the same kind.")
        places = np.zeros((len(column), self.width), dtype=np.float32)
        if isinstance(column, Words):
            numbers = self._numbers(column, chance)
            rows = np.flatnonzero(numbers != ABSENT)
            places[rows, numbers[rows]] = 1
        else:
            scaled = (column.values - self.mean) / self.spread
            places[:, 0] = np.where(column.missing, 0, scaled)
        if self.gaps:
            places[:, -1] = column.missing
        return places

    def _numbers(self, column: Words, chance: np.random.Generator | None) -> NDArray[np.int64]:
        """Return the place of each word."""
        unknown = len(self.levels)
        place = {word: number for number, word in enumerate(self.levels)}
        of_level = np.array([*(place.get(word, unknown) for word in column.levels), ABSENT])
        numbers = of_level[column.numbers]  # -1, for missing, is the last
        if chance is not None:
            numbers[(chance.random(len(numbers)) < _UNKNOWN_SHARE) & (numbers != ABSENT)] = unknown
        return numbers


@dataclass(frozen=True)
class Encoding:
    """How all columns that enter a model are read, side by side."""

    features: tuple[Feature, ...]

    @classmethod
    def fit(cls, columns: Mapping[str, Column], names: Iterable[str]) -> "Encoding":
        """Return how columns are read, from their training part."""
        return cls(tuple(Feature.fit(name, columns[name]) for name in names))

    @property
    def width(self) -> int:
        """Number of places of all columns."""
        return sum(feature.width for feature in self.features)

    def read(
        self, columns: Mapping[str, Column], rows: int, chance: np.random.Generator | None = None
    ) -> NDArray[np.float32]:
        """Return columns as the model reads them [rows, width].

        Args:
            columns: by name; others than those of the encoding are not read.
            rows: how many rows they have.
            chance: see `Feature.read`.

        Raises:
            InputFileError: a column is missing, or of another kind than in training.
        """
        missing = [feature.name for feature in self.features if feature.name not in columns]
        if missing:
            raise InputFileError(
                f"The column {missing[0]} is missing, which the model was trained with; the columns are "
                f"{', '.join(columns)}."
            )
        used = [columns[feature.name] for feature in self.features]
        chances = _chances(used, rows, chance)

        def block(at: slice) -> NDArray[np.float32]:
            empty = np.zeros((at.stop - at.start, 0), dtype=np.float32)
            sources = zip(self.features, used, chances, strict=True)
            return np.concatenate(
                [*(kind.read(column.take(at), drawn) for kind, column, drawn in sources), empty], axis=1
            )

        return computed(block, rows, mapped=any(is_mapped(column.codes) for column in used))


def _mean_and_spread(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the mean and the standard deviation of numbers, those that are missing left out."""
    count, mean, variance = 0, 0.0, 0.0
    for rows in blocks(len(values)):
        present = values[rows]
        present = present[~np.isnan(present)]
        if len(present):
            distance, share = float(present.mean()) - mean, len(present) / (count + len(present))
            within = variance * (1 - share) + float(present.var()) * share
            mean, variance = mean + distance * share, within + distance**2 * share * (1 - share)
            count += len(present)
    return mean, variance**0.5


def _chances(
    columns: Sequence[Column], rows: int, chance: np.random.Generator | None
) -> list[np.random.Generator | None]:
    """Return a source of randomness for each column, as if all rows of one were drawn after those of another."""
    chances, passed = [], 0
    for column in columns:
        source = deepcopy(chance)
        if source is not None:
            source.bit_generator.advance(passed)  # type: ignore[attr-defined]
        passed += rows * isinstance(column, Words)
        chances.append(source)
    return chances


def scaled(column: Numbers, mean: float, spread: float) -> NDArray[np.float32]:
    """Return numbers as targets [rows]; 0 where missing."""

    def block(rows: slice) -> NDArray[np.float32]:
        values = column.values[rows]
        return np.where(np.isnan(values), 0, (values - mean) / spread).astype(np.float32)

    return computed(block, len(column), mapped=is_mapped(column.values))
