"""Naive predictions, with which a model is compared."""

import numpy as np
from numpy.typing import NDArray


def shares_of(classes: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Return the share of each class [count], none of them 0.

    Args:
        classes: the class of each series or step.
        count: how many classes there are.
    """
    counts = np.bincount(classes, minlength=count) + 1.0  # one more of each: a class may be in the other part only
    return counts / counts.sum()


def guessing_loss(
    shares: NDArray[np.float64], classes: NDArray[np.int64], weights: NDArray[np.floating] | None = None
) -> float:
    """Return the mean cross-entropy, in nats, of predicting the same shares everywhere.

    Args:
        shares: of each class.
        classes: the class of each series or step.
        weights: of each class that came; None: all weigh the same.
    """
    return float(np.average(-np.log(shares[classes]), weights=weights))


def summaries(values: NDArray[np.float32], starts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return mean and spread of each column over each series [series, 2 columns].

    Args:
        values: [steps, columns] of series end to end.
        starts: [series + 1] the first step of each, and the number of steps.
    """
    lengths = np.diff(starts)[:, None]
    total = np.add.reduceat(values.astype(np.float64), starts[:-1])
    squares = np.add.reduceat(values.astype(np.float64) ** 2, starts[:-1])
    mean = total / lengths
    return np.concatenate([mean, np.sqrt(np.maximum(squares / lengths - mean**2, 0))], axis=1)


def nearest(known: NDArray[np.float64], asked: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the number of the nearest known point for each point that is asked for.

    Args:
        known: points [points, coordinates].
        asked: points [others, coordinates].
    """
    squares = (known**2).sum(axis=1)
    pieces = np.array_split(asked, max(1, len(asked) * len(known) // 10**7))  # so that distances fit into memory
    return np.concatenate([(squares - 2 * piece @ known.T).argmin(axis=1) for piece in pieces])
