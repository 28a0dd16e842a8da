"""Guesses of the next symbol of a text, by counting alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_PAIRS = 2**16
"""Distinct pairs that are kept, the most frequent ones: a table of them lies in the run folder."""

_DENSE = 2**22
"""Possible pairs up to which they are counted in a table of all of them, which is faster than to sort them."""


@dataclass(frozen=True)
class PairCounts:
    """Counts of the symbols of a text, and of pairs of neighbours.

    The probability of symbol b by single counts is p(b) = (count(b) + 1) / (n + V), with n the number of symbols and V
    the size of the vocabulary. After symbol a, its probability by pairs is p(b | a) = (count(ab) + p(b)) / (count(a·) +
    1), as in `Counting` (data/counting.py), with count(a·) the sum over the pairs that are kept. No symbol has
    probability zero.

    Attributes:
        singles: how often each symbol came [V].
        pairs: for each symbol [V] those that followed it, with their counts; of very many pairs the most frequent.
    """

    singles: tuple[int, ...]
    pairs: tuple[Mapping[int, int], ...]

    @classmethod
    def of(cls, codes: NDArray[np.int32], size: int) -> "PairCounts":
        """Count a text.

        Args:
            codes: symbol numbers [symbols].
            size: the size V of the vocabulary.
        """
        keys, counts = _counted(codes[:-1].astype(np.int64) * size + codes[1:], size * size)
        most = np.sort(np.argsort(-counts, kind="stable")[:MOST_PAIRS])
        pairs: list[dict[int, int]] = [{} for _ in range(size)]
        for key, count in zip(keys[most].tolist(), counts[most].tolist(), strict=True):
            pairs[key // size][key % size] = count
        return cls(tuple(np.bincount(codes, minlength=size).tolist()), tuple(pairs))

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any], size: int) -> "PairCounts":
        """Return what `to_plain` returned.

        Raises:
            ValueError, TypeError, KeyError: it is none, or not of a vocabulary of this size.
        """
        singles = tuple(map(_count, _words(plain["symbols"])))
        pairs = tuple(dict(_pair(word, size) for word in _words(after)) for after in plain["pairs"])
        if len(singles) != size or len(pairs) != size:
            raise ValueError(f"{len(singles)} symbols and {len(pairs)} that follow are counted, of {size}")
        return cls(singles, pairs)

    def to_plain(self) -> dict[str, Any]:
        """Return the counts as texts.

        Each symbol has one for those that followed it; "7:3" is symbol 7, three times.
        """
        pairs = [" ".join(f"{symbol}:{count}" for symbol, count in after.items()) for after in self.pairs]
        return {"symbols": " ".join(map(str, self.singles)), "pairs": pairs}

    def losses(self, codes: NDArray[np.int32]) -> tuple[float, float]:
        """Return the mean -ln p of a text, by single counts and by pairs.

        It is in nats, of at least two symbols. Both are over the same symbols, all but the first. Time and memory grow
        with the number of distinct pairs in the text.

        Args:
            codes: symbol numbers [symbols] below V.
        """
        size = len(self.singles)
        asked, times = _counted(codes[:-1].astype(np.int64) * size + codes[1:], size * size)
        first, second = asked // size, asked % size
        single = (np.array(self.singles, dtype=np.float64)[second] + 1) / (sum(self.singles) + size)
        followed = np.array([sum(after.values()) for after in self.pairs], dtype=np.float64)
        count = np.array([self.pairs[a].get(b, 0) for a, b in zip(first.tolist(), second.tolist(), strict=True)])
        paired = (count + single) / (followed[first] + 1)
        share = times / times.sum()
        return float(-(share * np.log(single)).sum()), float(-(share * np.log(paired)).sum())


def _counted(keys: NDArray[np.int64], possible: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct keys in their order, and how often each came."""
    if possible > _DENSE:
        return np.unique(keys, return_counts=True)
    counts = np.bincount(keys, minlength=possible)
    present = np.flatnonzero(counts)
    return present, counts[present]


def _count(text: str) -> int:
    count = int(text)
    if not 0 <= count < 2**62:
        raise ValueError(f"{count} is no count")
    return count


def _pair(text: str, size: int) -> tuple[int, int]:
    symbol, count = map(_count, text.split(":"))
    if symbol >= size:
        raise ValueError(f"symbol {symbol} is outside the vocabulary of {size}")
    return symbol, count


def _words(text: Any) -> list[str]:
    if not isinstance(text, str):
        raise TypeError(f"{text!r} is no text of counts")
    return text.split()
