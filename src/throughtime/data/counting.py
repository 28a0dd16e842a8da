"""Baselines of a stream: predictions by counting alone."""

import math
from typing import TypeAlias

Counts: TypeAlias = tuple[dict[int, int], dict[int, dict[int, int]], int, int]
"""Counts of single bytes, counts of the bytes that followed each byte, number of bytes, and the last byte.

The last byte is -1 before the first.
"""


class Counting:
    """Predictor of bytes by counts of single bytes and of pairs.

    With n the number of bytes so far, the probability of byte b by single counts is p(b) = (count(b) + 1) / (n + 256).
    After byte a, its probability by counts of pairs is p(b | a) = (count(ab) + p(b)) / (count(a) + 1). No byte has
    probability zero.
    """

    def __init__(self) -> None:
        self._single: dict[int, int] = {}
        self._pairs: dict[int, dict[int, int]] = {}
        self._total, self._last = 0, -1

    def losses(self, byte: int) -> tuple[float, float]:
        """Return -ln p of a byte, in nats, and then count it.

        The first value is by counts of single bytes, the second by counts of pairs.
        """
        single = (self._single.get(byte, 0) + 1) / (self._total + 256)
        after = self._pairs.get(self._last, {})
        pair = (after.get(byte, 0) + single) / (sum(after.values()) + 1)
        self._count(byte)
        return -math.log(single), -math.log(pair)

    def state(self) -> Counts:
        """Return all counts, for `restore`. They are not copied: later bytes change them."""
        return self._single, self._pairs, self._total, self._last

    def restore(self, state: Counts) -> None:
        """Continue from the counts that `state` returned."""
        self._single, self._pairs, self._total, self._last = state

    def _count(self, byte: int) -> None:
        self._single[byte] = self._single.get(byte, 0) + 1
        after = self._pairs.setdefault(self._last, {})
        after[byte] = after.get(byte, 0) + 1
        self._total, self._last = self._total + 1, byte
