"""Scores of predictions against what came, summed up as the predictions come."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.floating] | None
"""Weight of each prediction; None: all weigh the same."""


class Scores(ABC):
    """Scores of predictions, in memory that does not grow with their number."""

    @abstractmethod
    def add(self, predicted: NDArray[Any], came: NDArray[Any], weights: Weights = None) -> None:
        """Add predictions [targets] with what came [targets] and their weights [targets]."""

    @abstractmethod
    def named(self) -> dict[str, float]:
        """Return the scores by name; at least one prediction was added."""


class ClassScores(Scores):
    """Scores of classes by their numbers.

    Attributes:
        matrix: how often, or with what weight, each class [row] was predicted as each class [column].

    Args:
        count: the number of classes.
    """

    def __init__(self, count: int) -> None:
        self.matrix = np.zeros((count, count))

    def add(self, predicted: NDArray[Any], came: NDArray[Any], weights: Weights = None) -> None:
        """Count pairs of classes."""
        self.matrix += confusion(predicted, came, len(self.matrix), weights)

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
        self._weight = 0.0
        self._squares = self._sizes = self._mean = self._deviations = 0.0

    def add(self, predicted: NDArray[Any], came: NDArray[Any], weights: Weights = None) -> None:
        """Add the sums of errors, and of deviations from the mean of what came."""
        if not len(came):
            return
        errors, values = np.asarray(predicted, np.float64) - came, np.asarray(came, np.float64)
        share = np.ones(len(values)) if weights is None else np.asarray(weights, np.float64)
        self._squares += float((share * np.square(errors)).sum())
        self._sizes += float((share * np.abs(errors)).sum())
        weight = float(share.sum())
        if not weight:
            return
        mean = float((share * values).sum()) / weight
        # Sums of squares of two parts, about the mean of both (Chan, Golub and LeVeque 1983).
        shift, both = mean - self._mean, self._weight + weight
        between = shift**2 * self._weight * weight / both
        self._deviations += float((share * np.square(values - mean)).sum()) + between
        self._mean += shift * weight / both
        self._weight = both

    def named(self) -> dict[str, float]:
        """Return RMSE, MAE and R², the share of the variance that predictions explain.

        R² is NaN where what came does not vary.
        """
        explained = 1 - self._squares / self._deviations if self._deviations else float("nan")
        return {
            "RMSE": float(np.sqrt(self._squares / self._weight)), "MAE": self._sizes / self._weight, "R²": explained,
        }  # fmt: skip


def confusion(
    predicted: NDArray[np.int64], came: NDArray[np.int64], count: int, weights: Weights = None
) -> NDArray[np.float64]:
    """Return how often each class [row] was predicted as each class [column].

    With weights, it is the sum of them.
    """
    return np.bincount(came * count + predicted, weights, count * count).reshape(count, count).astype(np.float64)
