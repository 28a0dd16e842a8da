"""Scores of predictions against what came, summed up as the predictions come."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Scores(ABC):
    """Scores of predictions, in memory that does not grow with their number."""

    @abstractmethod
    def add(self, predicted: NDArray[Any], came: NDArray[Any]) -> None:
        """Add predictions [targets] with what came [targets]."""

    @abstractmethod
    def named(self) -> dict[str, float]:
        """Return the scores by name; at least one prediction was added."""


class ClassScores(Scores):
    """Scores of classes by their numbers.

    Attributes:
        matrix: how often each class [row] was predicted as each class [column].

    Args:
        count: the number of classes.
    """

    def __init__(self, count: int) -> None:
        self.matrix = np.zeros((count, count), dtype=np.int64)

    def add(self, predicted: NDArray[Any], came: NDArray[Any]) -> None:
        """Count pairs of classes."""
        size = len(self.matrix)
        self.matrix += np.bincount(came * size + predicted, minlength=size * size).reshape(size, size)

    def named(self) -> dict[str, float]:
        """Return accuracy, balanced accuracy and mean F1.

        Balanced accuracy is the mean over the classes that came of the share predicted rightly; the mean F1 is over the
        classes that came or were predicted.
        """
        right, came = np.diag(self.matrix), self.matrix.sum(axis=1)
        both = self.matrix.sum(axis=0) + came
        return {
            "accuracy": float(right.sum() / came.sum()),
            "balanced accuracy": float((right[came > 0] / came[came > 0]).mean()),
            "mean F1": float((2 * right[both > 0] / both[both > 0]).mean()),
        }


class NumberScores(Scores):
    """Scores of numbers in their unit."""

    def __init__(self) -> None:
        self._count = 0
        self._squares = self._sizes = self._mean = self._deviations = 0.0

    def add(self, predicted: NDArray[Any], came: NDArray[Any]) -> None:
        """Add the sums of errors, and of deviations from the mean of what came."""
        if not len(came):
            return
        errors, values = np.asarray(predicted, np.float64) - came, np.asarray(came, np.float64)
        self._squares += float(np.square(errors).sum())
        self._sizes += float(np.abs(errors).sum())
        # Sums of squares of two parts, about the mean of both (Chan, Golub and LeVeque 1983).
        count, shift = len(values), float(values.mean()) - self._mean
        both = self._count + count
        self._deviations += float(np.square(values - values.mean()).sum()) + shift**2 * self._count * count / both
        self._mean += shift * count / both
        self._count = both

    def named(self) -> dict[str, float]:
        """Return RMSE, MAE and R², the share of the variance that predictions explain.

        R² is NaN where what came does not vary.
        """
        explained = 1 - self._squares / self._deviations if self._deviations else float("nan")
        return {
            "RMSE": float(np.sqrt(self._squares / self._count)), "MAE": self._sizes / self._count, "R²": explained,
        }  # fmt: skip
