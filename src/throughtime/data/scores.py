"""Scores of predictions against what came."""

import numpy as np
from numpy.typing import NDArray


def confusion(classes: NDArray[np.int64], predicted: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return how often each class [row] was predicted as each class [column]."""
    return np.bincount(classes * count + predicted, minlength=count * count).reshape(count, count)


def accuracy(matrix: NDArray[np.int64]) -> float:
    """Return the share that was predicted rightly, from a confusion matrix."""
    return float(np.trace(matrix) / matrix.sum())


def balanced_accuracy(matrix: NDArray[np.int64]) -> float:
    """Return the mean over the classes that came of the share predicted rightly."""
    counts = matrix.sum(axis=1)
    return float((np.diag(matrix)[counts > 0] / counts[counts > 0]).mean())


def mean_f1(matrix: NDArray[np.int64]) -> float:
    """Return the mean F1 score over the classes that came or were predicted."""
    both = matrix.sum(axis=0) + matrix.sum(axis=1)
    return float((2 * np.diag(matrix)[both > 0] / both[both > 0]).mean())


def root_mean_square(errors: NDArray[np.float64]) -> float:
    """Return the root of the mean square of errors."""
    return float(np.sqrt(np.square(errors).mean()))


def explained_share(errors: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """Return R², the share of the variance of values that predictions explain.

    It is NaN where the values do not vary.
    """
    variance = float(np.square(values - values.mean()).sum())
    return 1 - float(np.square(errors).sum()) / variance if variance else float("nan")
