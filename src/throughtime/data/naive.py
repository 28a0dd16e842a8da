"""Naive predictions, with which a model is compared."""

import numpy as np
from numpy.typing import NDArray

_MOST_PAIRS = 10**9
"""Pairs of points that `nearest` compares at most, which takes seconds."""

_STEPS_AT_ONCE = 10**6
"""Steps whose sums are made at once, so that copies of them fit into memory."""


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


def before(
    values: NDArray[np.generic], known: NDArray[np.bool_], starts: NDArray[np.int64]
) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
    """Return the last known value of a series before each step, and where one exists.

    Args:
        values: [steps] of series end to end.
        known: whether each value is known.
        starts: [series + 1] the first step of each, and the number of steps.
    """
    steps = np.arange(len(values))
    latest = np.concatenate([[-1], np.maximum.accumulate(np.where(known, steps, -1))[:-1]])
    within = latest >= np.repeat(starts[:-1], np.diff(starts))
    return values[np.maximum(latest, 0)], within


def summaries(values: NDArray[np.float32], starts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return mean and spread of each column over each series [series, 2 columns].

    Args:
        values: [steps, columns] of series end to end.
        starts: [series + 1] the first step of each, and the number of steps.
    """
    first = np.flatnonzero(np.diff(starts[:-1] // _STEPS_AT_ONCE, prepend=-1))  # series where a part begins
    parts = [_summaries(values, starts[a : b + 1]) for a, b in zip(first, [*first[1:], len(starts) - 1], strict=True)]
    return np.concatenate(parts)


def _summaries(values: NDArray[np.float32], starts: NDArray[np.int64]) -> NDArray[np.float64]:
    steps = values[starts[0] : starts[-1]].astype(np.float64)
    firsts, lengths = starts[:-1] - starts[0], np.diff(starts)[:, None]
    mean = np.add.reduceat(steps, firsts) / lengths
    squares = np.add.reduceat(steps**2, firsts)
    return np.concatenate([mean, np.sqrt(np.maximum(squares / lengths - mean**2, 0))], axis=1)


def nearest(known: NDArray[np.float64], asked: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the number of the nearest known point for each point that is asked for.

    Where both are very many, every second known point is compared, or every third, and so on.

    Args:
        known: points [points, coordinates].
        asked: points [others, coordinates].
    """
    every = -(-len(known) * len(asked) // _MOST_PAIRS) or 1
    known = known[::every]
    squares = (known**2).sum(axis=1)
    pieces = np.array_split(asked, max(1, len(asked) * len(known) // 10**7))  # so that distances fit into memory
    return every * np.concatenate([(squares - 2 * piece @ known.T).argmin(axis=1) for piece in pieces])
