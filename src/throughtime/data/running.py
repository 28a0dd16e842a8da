"""Statistics of numbers as they come."""

import math
from dataclasses import dataclass

FARTHEST = 10.0
"""Largest scaled number, in spreads: a first number that is far out must not drown those that follow."""


@dataclass
class RunningScale:
    """Mean and spread of the numbers so far (Welford 1962).

    Attributes:
        count: how many numbers came.
        mean: their mean; 0 before the first.
        squares: the sum of their squared distances from the mean.
    """

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    @property
    def spread(self) -> float:
        """Standard deviation; 1 where the numbers so far do not differ."""
        spread = math.sqrt(self.squares / self.count) if self.count else 0.0
        return divisor(spread, self.mean)

    @property
    def size(self) -> float:
        """Root of the mean square; 1 where all numbers so far were 0."""
        size = math.hypot(math.sqrt(self.squares / self.count), self.mean) if self.count else 0.0
        return size if size > 1e-12 else 1.0

    def add(self, number: float) -> None:
        """Take the next number."""
        self.count += 1
        distance = number - self.mean
        self.mean += distance / self.count
        self.squares += distance * (number - self.mean)

    def scaled(self, number: float) -> float:
        """Return (number - mean) / spread, within `FARTHEST` of 0."""
        return within((number - self.mean) / self.spread)


def divisor(spread: float, mean: float) -> float:
    """Return a spread to divide by.

    It is 1 where the spread is 0, or no more than the rounding of the mean.
    """
    return spread if spread > 1e-12 * max(1.0, abs(mean)) else 1.0


def within(scaled: float) -> float:
    """Return a scaled number, at most `FARTHEST` from 0."""
    return min(max(scaled, -FARTHEST), FARTHEST)
