"""Scores of predictions against what came."""

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.floating] | None
"""Weight of each prediction; None: all weigh the same."""


def confusion(
    classes: NDArray[np.int64], predicted: NDArray[np.int64], count: int, weights: Weights = None
) -> NDArray[np.int64 | np.float64]:
    """Return how often, or with what weight, class [row] was predicted as class [column]."""
    return np.bincount(classes * count + predicted, weights, count * count).reshape(count, count)


def accuracy(matrix: NDArray[np.int64 | np.float64]) -> float:
    """Return the share that was predicted rightly, from a confusion matrix."""
    return float(np.trace(matrix) / matrix.sum())


def balanced_accuracy(matrix: NDArray[np.int64 | np.float64]) -> float:
    """Return the mean over the classes that came of the share predicted rightly."""
    counts = matrix.sum(axis=1)
    return float((np.diag(matrix)[counts > 0] / counts[counts > 0]).mean())


def mean_f1(matrix: NDArray[np.int64 | np.float64]) -> float:
    """Return the mean F1 score over the classes that came or were predicted."""
    both = matrix.sum(axis=0) + matrix.sum(axis=1)
    return float((2 * np.diag(matrix)[both > 0] / both[both > 0]).mean())


def root_mean_square(errors: NDArray[np.float64], weights: Weights = None) -> float:
    """Return the root of the mean square of errors."""
    return float(np.sqrt(np.average(np.square(errors), weights=weights)))


def explained_share(errors: NDArray[np.float64], values: NDArray[np.float64], weights: Weights = None) -> float:
    """Return R², the share of the variance of values that predictions explain.

    It is NaN where the values do not vary.
    """
    variance = float(np.average(np.square(values - np.average(values, weights=weights)), weights=weights))
    return 1 - float(np.average(np.square(errors), weights=weights)) / variance if variance else float("nan")
