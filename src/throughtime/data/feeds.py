"""Feeds of many series: rows that run on across chunks, and chunks of whole series."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from throughtime.data.packing import Packing, cut_evenly, dealt, packed_whole
from throughtime.data.series_arrays import SeriesArrays
from throughtime.data.streams import Chunk, Cut, Feed
from throughtime.errors import ArgumentError


class RunningRows(Feed):
    """Rows of series that run on across chunks, with the state carried on.

    With a seed, for training, the series are laid end to end in an order that differs from pass to pass, and cut into
    rows of equal length, as a text is. A series that lies across the end of a row is split, and its later part begins
    without its past. Without a seed, as held-out data must be read, each series is whole, the series are spread evenly
    over the rows, and the rows' ends are padded.

    Args:
        arrays: the series.
        rows: how many rows; without a seed, the most.
        seed: seed of the order; None: always the same.
    """

    def __init__(self, arrays: SeriesArrays, rows: int, seed: int | None = None) -> None:
        self._arrays = arrays
        self._seed = seed
        pack = packed_whole if seed is None else cut_evenly
        self._packing = pack(np.arange(len(arrays)), arrays.lengths, min(rows, arrays.steps))

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self._packing.rows

    @property
    def padding(self) -> float:
        """Share of the steps of the rows that are padding."""
        return 1 - self._arrays.steps / self._packing.slots

    def chunks_per_pass(self, cut: Cut) -> int:
        """Return the number of chunks in one pass, whose rows are always equally long."""
        return cut.count(self._packing.steps)

    def chunks(self, number: int, cut: Cut, begin: int = 0) -> Iterator[Chunk]:
        """Yield the chunks of a pass."""
        packing = self._packing_of(number)
        for start, steps in cut.pieces(packing.steps, number, begin):
            first = start == cut.burn_in
            chunk = self._arrays.chunk(packing, start, steps, first=first)
            if first and cut.burn_in:
                before = self._arrays.chunk(packing, 0, cut.burn_in, first=True)
                chunk = chunk._replace(warm_up=before.inputs, warm_up_resets=before.resets)
            yield chunk

    def _packing_of(self, number: int) -> Packing:
        if self._seed is None:
            return self._packing
        order = np.random.default_rng([self._seed, number]).permutation(len(self._arrays))
        return cut_evenly(order, self._arrays.lengths[order], self.rows)


class WholeRows(Feed):
    """Chunks of whole series.

    No gradient is cut, and no state is carried from chunk to chunk. A chunk has up to `rows` rows of about `steps`
    steps, each with as many series as fit in; where fewer, longer rows have less padding, it has those. With a seed,
    every pass deals the series out anew; each chunk has series of all lengths, and their number is the same but for
    one.

    Args:
        arrays: the series.
        steps: steps of a row; rows are at least as long as the longest series.
        rows: the largest number of rows of a chunk.
        seed: seed of the order; None: as the series come.
    """

    def __init__(self, arrays: SeriesArrays, steps: int, rows: int, seed: int | None = None) -> None:
        self._arrays = arrays
        self._rows = rows
        self._seed = seed
        self._chunks = -(-arrays.steps // (rows * max(steps, arrays.longest)))
        hand = self._hands(0)[0]
        # Hands are alike, so that the first number of rows tried is mostly good.
        self._likely = packed_whole(hand, arrays.lengths[hand], rows).rows

    @property
    def rows(self) -> int:
        """Largest number of rows of a chunk."""
        return self._rows

    def padding(self, most: int = 100) -> float:
        """Return the share of padding in up to `most` chunks of the first pass."""
        packings = [self._packing_of(series) for series in self._hands(0)[:most]]
        return 1 - sum(int(packing.lengths.sum()) for packing in packings) / sum(packing.slots for packing in packings)

    def chunks_per_pass(self, cut: Cut) -> int:
        """Return the number of chunks in one pass.

        Raises:
            ArgumentError: the cut has a burn-in or random lengths, which whole series have no use for.
        """
        if cut.burn_in:
            raise ArgumentError("burn_in", f"is {cut.burn_in}", "chunks of whole series have no steps before them")
        if cut.jitter is not None:
            raise ArgumentError("chunk_jitter", "is True", "chunks of whole series end where the series end")
        return self._chunks

    def chunks(self, number: int, cut: Cut, begin: int = 0) -> Iterator[Chunk]:
        """Yield the chunks of a pass, whose lengths are not those of the cut."""
        for series in self._hands(number)[begin:]:
            packing = self._packing_of(series)
            yield self._arrays.chunk(packing, 0, packing.steps, first=True, last=True)

    def _hands(self, number: int) -> list[NDArray[np.int64]]:
        """Return the series of each chunk of a pass."""
        if self._seed is None:
            return np.array_split(np.arange(len(self._arrays)), self._chunks)
        return dealt(self._arrays.lengths, self._chunks, np.random.default_rng([self._seed, number]))

    def _packing_of(self, series: NDArray[np.int64]) -> Packing:
        return packed_whole(series, self._arrays.lengths[series], self._rows, self._likely)
