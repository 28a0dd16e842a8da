"""Entropies of a text in nats per symbol, the baselines of a model's loss."""

import numpy as np
from numpy.typing import NDArray


def unigram_entropy(codes: NDArray[np.int32]) -> float:
    """Return the entropy H(x_t), in nats, of symbol numbers [symbols].

    It is the loss on this text of the best model that ignores all context.
    """
    return _entropy(np.unique(codes, return_counts=True)[1])


def bigram_entropy(codes: NDArray[np.int32]) -> float:
    """Return the bigram entropy H(x_t | x_{t-1}) of at least two symbol numbers, in nats.

    It is the loss on this text of the best model that sees the last symbol only. The pairs are counted on this text
    itself, so that no table of pairs learned on another text has a smaller loss.
    """
    size = int(codes.max()) + 1
    pairs = codes[:-1].astype(np.int64) * size + codes[1:]
    # H(x_t | x_{t-1}) = H(x_{t-1}, x_t) - H(x_{t-1}), over the same pairs.
    joint = _entropy(np.unique(pairs, return_counts=True)[1])
    return max(0.0, joint - _entropy(np.unique(codes[:-1], return_counts=True)[1]))


def _entropy(counts: NDArray[np.int64]) -> float:
    """Return the entropy, in nats, of the distribution that counts give."""
    share = counts / counts.sum()
    return max(0.0, float(-(share * np.log(share)).sum()))
