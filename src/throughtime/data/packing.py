"""Series put end to end into rows of nearly equal length."""

import heapq
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

_LITTLE_PADDING = 0.05
"""Share of padding at which no smaller number of rows is tried."""

_ROWS_TRIED = (1.0, 0.9, 0.8, 0.75, 0.67, 0.6, 0.5)
"""Numbers of rows that are tried, as shares of the largest; fewer rows are longer, and filled more evenly."""

_BUNDLES = 8
"""Short series are packed in bundles of this part of a row, which bounds the time that packing takes."""


@dataclass(frozen=True, eq=False)
class Packing:
    """Rows cut out of a line of series that lie end to end.

    Attributes:
        series: [line] the series, in the order of the line.
        lengths: [line] their numbers of steps.
        begins: [rows] the place in the line where each row begins.
        ends: [rows] the place where it ends.
    """

    series: NDArray[np.int64]
    lengths: NDArray[np.int64]
    begins: NDArray[np.int64]
    ends: NDArray[np.int64]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.begins)

    @property
    def steps(self) -> int:
        """Number of steps of the longest row."""
        return int((self.ends - self.begins).max())

    @property
    def slots(self) -> int:
        """Number of steps of all rows, with the padding that makes them equally long."""
        return self.rows * self.steps

    @cached_property
    def _line_ends(self) -> NDArray[np.int64]:
        return np.cumsum(self.lengths)

    def places(self, start: int, steps: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return what stands in some steps of the rows.

        Args:
            start: the first step.
            steps: how many steps.

        Returns:
            The number of the series [time, rows], and that of the step in the series; -1 in padding.
        """
        place = self.begins[:, None] + np.arange(start, start + steps)
        valid = place < self.ends[:, None]
        place = np.minimum(place, self._line_ends[-1] - 1)  # what stands in padding is not used
        at = np.searchsorted(self._line_ends, place, side="right")
        series, step = self.series[at], place - (self._line_ends - self.lengths)[at]
        if not valid.all():
            series[~valid] = step[~valid] = -1
        return np.ascontiguousarray(series.T), np.ascontiguousarray(step.T)


def cut_evenly(series: NDArray[np.int64], lengths: NDArray[np.int64], rows: int) -> Packing:
    """Cut the line of some series into rows that differ by one step at most.

    A series that lies across the end of a row goes on at the beginning of the next row.

    Args:
        series: [line] the series, in the order of the line.
        lengths: [line] their numbers of steps.
        rows: how many rows, at most as many as there are steps.
    """
    bounds = np.arange(rows + 1) * int(lengths.sum()) // rows
    return Packing(series, lengths, bounds[:-1], bounds[1:])


def dealt(lengths: NDArray[np.int64], hands: int, chance: np.random.Generator) -> list[NDArray[np.int64]]:
    """Deal series out at random, so that each hand has series of all lengths.

    Each hand gets a random one of the `hands` shortest series, one of the next, and so on. The hands have the same
    number of series, or one more or less, and nearly the same number of steps.

    Args:
        lengths: [series] their numbers of steps.
        hands: how many hands, at most as many as there are series.
        chance: the source of randomness.
    """
    count = len(lengths)
    order = chance.permutation(count)
    order = order[np.argsort(lengths[order], kind="stable")]
    hand = np.argsort(chance.random((-(-count // hands), hands)), axis=1).ravel()[:count]
    bounds = np.cumsum(np.bincount(hand, minlength=hands))
    return np.split(order[np.argsort(hand, kind="stable")], bounds[:-1])


def packed_whole(series: NDArray[np.int64], lengths: NDArray[np.int64], most: int, likely: int = 0) -> Packing:
    """Put whole series into rows of nearly equal length.

    The longest series is first put into the shortest row, and so on (Graham 1969). Of several numbers of rows, the
    largest with little padding is chosen.

    Args:
        series: [line] the series.
        lengths: [line] their numbers of steps.
        most: the largest number of rows.
        likely: a number of rows that is tried first, because it was good for series like these; 0: none.
    """
    bundle, sizes = _bundled(lengths, most)
    largest = min(most, len(sizes), -(-int(lengths.sum()) // int(lengths.max())))
    best: tuple[int, NDArray[np.int64], NDArray[np.int64]] | None = None
    numbers = [max(1, round(share * largest)) for share in _ROWS_TRIED]
    for rows in dict.fromkeys([likely, *numbers] if 0 < likely <= largest else numbers):
        row_of, loads = _longest_first(sizes, rows)
        slots = rows * int(loads.max())
        if best is None or slots < best[0]:
            best = slots, row_of, loads
        if slots * (1 - _LITTLE_PADDING) <= sizes.sum():
            break
    assert best is not None
    _, row_of, loads = best
    order, ends = np.argsort(row_of[bundle], kind="stable"), np.cumsum(loads)
    return Packing(series[order], lengths[order], ends - loads, ends)


def _bundled(lengths: NDArray[np.int64], rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the bundle of each series, and the number of steps of each bundle; neighbours are bundled."""
    least = max(1, int(lengths.max()) // _BUNDLES, int(lengths.sum()) // rows // _BUNDLES)
    slot = (np.cumsum(lengths) - lengths) // least
    bundle = np.cumsum(np.diff(slot, prepend=slot[:1]) > 0, dtype=np.int64)
    return bundle, np.bincount(bundle, weights=lengths).astype(np.int64)


def _longest_first(sizes: NDArray[np.int64], rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the row [bundles] of each bundle, and the number of steps [rows] of each row."""
    order = np.argsort(-sizes, kind="stable")
    row_of = np.empty(len(sizes), dtype=np.int64)
    row_of[order[:rows]] = np.arange(rows)
    shortest = [(size, row) for row, size in enumerate(sizes[order[:rows]].tolist())]
    heapq.heapify(shortest)
    later = []
    for size in sizes[order[rows:]].tolist():
        load, row = shortest[0]
        later.append(row)
        heapq.heapreplace(shortest, (load + size, row))
    row_of[order[rows:]] = later
    loads = np.empty(rows, dtype=np.int64)
    for load, row in shortest:
        loads[row] = load
    return row_of, loads
