"""Series as parallel streams of time-major chunks. The hidden state is carried from chunk to chunk."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from throughtime.errors import ArgumentError, InputFileError

SHORTEST_HELD_OUT_STREAM = 2000
"""Least number of steps of a held-out stream.

Held-out data are read in fewer streams where they are shorter, because each stream starts with a zero state.
"""

HELD_OUT_STEPS = 500
"""Steps per chunk where no gradient is needed; memory grows with them."""

MOST_CHOSEN_STREAMS = 50
"""The most streams, where no number of them is asked for."""

_LEAST_CHUNKS = 100
"""The least number of chunks of each stream, where no number of streams is asked for."""

_FULL_LENGTH, _LENGTH_NOISE = 0.95, 5.0
"""Random chunk lengths: probability of the full mean length, and standard deviation in steps (Merity et al. 2017)."""


class Chunk(NamedTuple):
    """Consecutive time steps of every stream."""

    inputs: Tensor
    """Inputs: symbol numbers [time, batch], or numbers [time, batch, features]."""
    targets: Tensor
    """Targets [time, batch, …] of each step: the next symbol, numbers, or the numbers of several next steps."""
    mask: Tensor | None
    """True for targets that count in the loss; None: all targets.

    The shape is [time, batch], for whole steps, or that of the targets. A series with a single target, for example, has
    True at its last step only.
    """
    first: bool
    """Whether the state must start anew here: at the start of a pass, and in each chunk of whole series."""
    warm_up: Tensor | None = None
    """Inputs [steps, batch, …] before a pass that only warm up the state; or None."""
    resets: Tensor | None = None
    """True [time, batch] where a series begins and the state starts anew; or None."""
    warm_up_resets: Tensor | None = None
    """Resets [steps, batch] among the steps of `warm_up`; or None."""
    weight: Tensor | None = None
    """Weights [time, batch] of the losses of the targets that count; None: all weigh the same."""
    origin: Tensor | None = None
    """Number of the series, and of the step in the series, that stands at [time, batch]; -1 in padding.

    The shape is [time, batch, 2]; None where the data are not known by series.
    """
    last: bool = False
    """Whether no state is carried on from here, as from a chunk of whole series."""


def on_cpu(chunk: Chunk) -> Chunk:
    """Return a chunk in the memory of the CPU."""
    tensors = {name: part.cpu() for name, part in chunk._asdict().items() if isinstance(part, Tensor)}
    return chunk._replace(**tensors)


@dataclass(frozen=True)
class Cut:
    """How the rows of a pass are cut into chunks.

    The last chunk of a pass is shorter when the rows do not divide into whole chunks.

    Attributes:
        steps: the length T of a chunk.
        burn_in: steps at the beginning of each pass that are in no chunk, but come with the first as its `warm_up`.
        jitter: seed of random chunk lengths, which differ from pass to pass; None: all chunks have `steps` steps.
    """

    steps: int
    burn_in: int = 0
    jitter: int | None = None

    def count(self, length: int) -> int:
        """Return the number of chunks of rows of `length` steps."""
        return -(-(length - self.burn_in) // self.steps)

    def pieces(self, length: int, number: int, begin: int = 0) -> Iterator[tuple[int, int]]:
        """Yield the first step and the number of steps of each chunk of a pass.

        Args:
            length: steps of the rows.
            number: of the pass.
            begin: the chunk to begin with.
        """
        bounds = self._bounds(length, number)[begin:]
        return ((start, end - start) for start, end in pairwise(bounds))

    def _bounds(self, length: int, number: int) -> list[int]:
        """Return the first step of each chunk of pass `number`, followed by the end of the last chunk.

        Random lengths depend on the seed and `number` alone, so that a resumed run has the same chunks.
        """
        first, count = self.burn_in, self.count(length)
        if self.jitter is None:
            return [*range(first, length, self.steps), length]
        chance = np.random.default_rng([self.jitter, number])
        # Merity et al. 2017, section 5: mostly the full length, now and then half of it, and Gaussian noise on either.
        full = np.where(chance.random(count) < _FULL_LENGTH, self.steps, self.steps / 2)
        lengths = np.maximum(chance.normal(full, min(_LENGTH_NOISE, self.steps / 4)), 1.0)
        ends = np.cumsum(lengths) / lengths.sum() * (length - first - count)
        # Each chunk has one step for certain, and its share of the others.
        return [first, *(first + np.rint(ends).astype(int) + np.arange(1, count + 1)).tolist()]


class Feed(ABC):
    """Data that are read in passes, chunk by chunk."""

    @property
    @abstractmethod
    def rows(self) -> int:
        """Number of series read side by side: the largest batch of a chunk."""

    @abstractmethod
    def chunks_per_pass(self, cut: Cut) -> int:
        """Return the number of chunks in one pass, which is the same in every pass."""

    @abstractmethod
    def chunks(self, number: int, cut: Cut, begin: int = 0) -> Iterator[Chunk]:
        """Yield the chunks of pass `number`, from chunk `begin` on.

        They depend on these arguments alone, so that a resumed run has the same chunks.
        """


@dataclass(frozen=True)
class Streams(Feed):
    """Series in contiguous pieces of equal length, read side by side.

    Column b continues where column b of the chunk before ended.

    Args:
        inputs: [steps, streams] symbol numbers, or [steps, streams, features] numbers. Whole numbers of any type reach
            the model as int64; floating-point numbers keep their type, which must be the model's, float32.
        targets: [steps, streams, …], what is to be predicted after each input; types as for inputs.
        mask: [steps, streams] or in the shape of the targets: True for targets that count, False in padding; None:
            all targets count.
        resets: [steps, streams] True where a series begins; None: nowhere.
        weight: [steps, streams] weights of the losses of the targets that count; None: all weigh the same.
    """

    inputs: Tensor
    targets: Tensor
    mask: Tensor | None = None
    resets: Tensor | None = None
    weight: Tensor | None = None

    @property
    def rows(self) -> int:
        """Number of streams."""
        return self.inputs.shape[1]

    def chunks_per_pass(self, cut: Cut) -> int:
        """Return the number of chunks in one pass."""
        return cut.count(len(self.inputs))

    def chunks(self, number: int, cut: Cut, begin: int = 0) -> Iterator[Chunk]:
        """Yield the chunks of a pass; passes differ in the lengths of chunks alone."""
        for start, steps in cut.pieces(len(self.inputs), number, begin):
            yield self.chunk(start, steps, cut.burn_in)

    def chunk(self, start: int, steps: int, burn_in: int = 0) -> Chunk:
        """Return the chunk of up to `steps` steps from step `start` on.

        The chunk at `start` = `burn_in` is the first of a pass, and has the steps before it as `warm_up`.
        """
        cut = slice(start, start + steps)
        mask = None if self.mask is None or bool(self.mask[cut].all()) else self.mask[cut]
        first = start == burn_in
        warm_up, warm_up_resets = None, None
        if first and burn_in:
            warm_up, warm_up_resets = whole_as_int64(self.inputs[:burn_in]), self._resets(slice(burn_in))
        inputs, targets = whole_as_int64(self.inputs[cut]), whole_as_int64(self.targets[cut])
        weight = None if self.weight is None else self.weight[cut]
        return Chunk(inputs, targets, mask, first, warm_up, self._resets(cut), warm_up_resets, weight)

    def _resets(self, cut: slice) -> Tensor | None:
        return None if self.resets is None or not bool(self.resets[cut].any()) else self.resets[cut]


def training_streams(codes: NDArray[np.int32], streams: int) -> Streams:
    """Cut a series of symbols into streams of equal length.

    Fewer than `streams` symbols at the end are left over, and not used.

    Args:
        codes: symbol numbers [symbols].
        streams: how many, at most `len(codes) - 1`.
    """
    steps = (len(codes) - 1) // streams
    series = torch.from_numpy(np.ascontiguousarray(codes[: steps * streams + 1]))
    return Streams(series[:-1].view(streams, steps).t(), series[1:].view(streams, steps).t())


def held_out_streams(codes: NDArray[np.int32], streams: int = 20) -> Streams:
    """Cut a series of symbols into streams for evaluation.

    Every symbol but the first is a target exactly once: the last stream is padded and masked. A short series gives
    fewer streams, see `SHORTEST_HELD_OUT_STREAM`.

    Args:
        codes: symbol numbers [symbols], at least two.
        streams: the largest number of streams; more are faster, and lose more at the zero states they start with.
    """
    count = len(codes) - 1
    streams = max(1, min(streams, count // SHORTEST_HELD_OUT_STREAM))
    steps = -(-count // streams)
    series = torch.zeros(steps * streams + 1, dtype=torch.int32)
    series[: len(codes)] = torch.from_numpy(np.ascontiguousarray(codes))
    padded = torch.arange(steps * streams).view(streams, steps).t() >= count
    return Streams(
        series[:-1].view(streams, steps).t(),
        series[1:].view(streams, steps).t(),
        ~padded if bool(padded.any()) else None,
    )


def windows(codes: NDArray[np.int32], steps: int, rows: int) -> Chunk:
    """Cut windows out of a series of symbols, evenly spread.

    Windows of a short series have fewer steps, and then overlap.

    Args:
        codes: symbol numbers [symbols], at least two.
        steps: symbols that are read in each.
        rows: how many windows.

    Raises:
        InputFileError: there are fewer than two symbols.
    """
    if len(codes) < 2:
        raise InputFileError(f"The series has {len(codes)} symbols; it takes 2 to predict one: give a longer one.")
    steps = min(steps, len(codes) - 1)
    starts = np.linspace(0, len(codes) - 1 - steps, rows).astype(int)
    series = torch.from_numpy(np.stack([codes[start : start + steps + 1] for start in starts])).long().t()
    return Chunk(series[:-1].contiguous(), series[1:].contiguous(), None, first=True)


def workable_batch_size(length: int, update_every: int, wanted: int, burn_in: int = 0) -> int:
    """Return how many streams a training series is read in.

    Args:
        length: steps of the series.
        update_every: steps of a chunk; every stream must hold at least one whole chunk.
        wanted: the number asked for; 0 chooses 50, or fewer where streams would have fewer than 100 chunks each.
        burn_in: steps before the first chunk.

    Raises:
        ArgumentError: not even one stream, or not `wanted` streams, can hold a chunk.
    """
    largest = (length - 1) // (burn_in + update_every)
    if largest < 1 and burn_in:
        raise ArgumentError(
            "burn_in",
            f"is {burn_in} and `update_every` {update_every}",
            f"together they are longer than the training part, which has {length} steps",
            "give a smaller `burn_in`, or more data",
        )
    if largest < 1:
        raise ArgumentError(
            "update_every",
            f"is {update_every}",
            f"it is longer than the training part, which has {length} steps",
            f"give at most {length - 1}, or more data",
        )
    if wanted > largest:
        raise ArgumentError(
            "batch_size",
            f"is {wanted}",
            f"{length} steps of training data hold {largest} streams of `update_every` {update_every} steps"
            f"{f' after `burn_in` {burn_in}' if burn_in else ''}",
            f"give at most {largest}, or more data",
        )
    return wanted or chosen_streams(length - 1, update_every, largest)


def chosen_streams(steps: int, update_every: int, largest: int) -> int:
    """Return how many streams are read where no number of them is asked for.

    Args:
        steps: of all streams together.
        update_every: steps of a chunk.
        largest: the most streams.
    """
    return max(1, min(MOST_CHOSEN_STREAMS, steps // update_every // _LEAST_CHUNKS, largest))


class ChunkLoader:
    """Iterator over the chunks of all passes, which can start in the middle.

    An iteration starts at the beginning of the data; only the first after `load_state_dict` starts at the loaded
    position.

    Args:
        feed: the data.
        steps: the length T of a chunk.
        passes: how often the data are read.
        burn_in: see `Cut`.
        jitter: see `Cut`.
    """

    def __init__(self, feed: Feed, steps: int, passes: int = 1, burn_in: int = 0, jitter: int | None = None) -> None:
        self._feed = feed
        self._cut = Cut(steps, burn_in, jitter)
        self._passes = passes
        self._position = 0  # chunks handed out, of all passes
        self._start_at = 0  # the position at which the next iteration starts

    @property
    def chunks_per_pass(self) -> int:
        """Number of chunks in one pass through the data."""
        return self._feed.chunks_per_pass(self._cut)

    def __len__(self) -> int:
        return self.chunks_per_pass * self._passes

    def __iter__(self) -> Iterator[Chunk]:
        self._position, self._start_at = self._start_at, 0
        while self._position < len(self):
            number, begin = divmod(self._position, self.chunks_per_pass)
            for chunk in self._feed.chunks(number, self._cut, begin):
                self._position += 1
                yield chunk

    def state_dict(self) -> dict[str, int]:
        """Return the position: how many chunks have been handed out."""
        return {"position": self._position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from a position that `state_dict` returned."""
        self._position = self._start_at = state["position"]


def whole_as_int64(values: Tensor) -> Tensor:
    """Convert whole numbers and truth values to int64, which torch's layers take; keep other numbers."""
    return values if values.is_floating_point() else values.long()
