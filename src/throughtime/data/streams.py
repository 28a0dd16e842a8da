"""A long text as parallel streams of time-major chunks, so that a state can be carried from chunk to chunk."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from throughtime.errors import ArgumentError

SHORTEST_HELD_OUT_STREAM = 2000
"""Held-out text is read in parallel only as far as each stream keeps this many symbols: a stream starts cold."""

HELD_OUT_STEPS = 500
"""Steps read at once where no gradient is needed: only memory depends on it."""


class Chunk(NamedTuple):
    """Some steps of every stream."""

    inputs: Tensor
    """[time, batch] symbol numbers."""
    targets: Tensor
    """[time, batch] the symbol that follows each input."""
    mask: Tensor | None
    """[time, batch] which targets count; None: all of them."""
    first: bool
    """Whether the text starts here, so that the state must start anew."""


@dataclass(frozen=True)
class Streams:
    """A text cut into contiguous pieces of equal length, read side by side; column b continues column b of before.

    Args:
        inputs: [steps, streams] symbol numbers.
        targets: [steps, streams] the symbol after each input.
        mask: [steps, streams] which targets are text and not padding; None: all of them.
    """

    inputs: Tensor
    targets: Tensor
    mask: Tensor | None = None

    def chunk(self, start: int, steps: int) -> Chunk:
        """Return up to `steps` steps from step `start` on."""
        cut = slice(start, start + steps)
        mask = None if self.mask is None or bool(self.mask[cut].all()) else self.mask[cut]
        return Chunk(self.inputs[cut].long(), self.targets[cut].long(), mask, start == 0)


def training_streams(codes: NDArray[np.int32], streams: int) -> Streams:
    """Cut a text into streams of equal length; the fewer than `streams` symbols left over at its end are not used.

    Args:
        codes: symbol numbers [symbols].
        streams: how many, at most `len(codes) - 1`.
    """
    steps = (len(codes) - 1) // streams
    text = torch.from_numpy(np.ascontiguousarray(codes[: steps * streams + 1]))
    return Streams(text[:-1].view(streams, steps).t(), text[1:].view(streams, steps).t())


def held_out_streams(codes: NDArray[np.int32], streams: int = 20) -> Streams:
    """Cut a text into streams so that every symbol but the first is a target exactly once.

    Short streams are padded and masked. There are fewer streams than asked for when the text is short.

    Args:
        codes: symbol numbers [symbols], at least two.
        streams: the largest number of streams.
    """
    count = len(codes) - 1
    streams = max(1, min(streams, count // SHORTEST_HELD_OUT_STREAM))
    steps = -(-count // streams)
    text = torch.zeros(steps * streams + 1, dtype=torch.int32)
    text[: len(codes)] = torch.from_numpy(np.ascontiguousarray(codes))
    padded = torch.arange(steps * streams).view(streams, steps).t() >= count
    return Streams(
        text[:-1].view(streams, steps).t(), text[1:].view(streams, steps).t(), ~padded if bool(padded.any()) else None
    )


def workable_batch_size(symbols: int, update_every: int, wanted: int) -> int:
    """Return how many streams a training text is read in.

    Args:
        symbols: length of the text.
        update_every: steps of a chunk; every stream must hold at least one whole chunk.
        wanted: the number asked for; 0 picks 50, or fewer when the streams would have under a hundred chunks each.

    Raises:
        ArgumentError: not even one stream, or not `wanted` streams, can hold a chunk.
    """
    largest = (symbols - 1) // update_every
    if largest < 1:
        raise ArgumentError(
            f"--update-every {update_every} is longer than the training text, which has {symbols} symbols: "
            f"give at most {symbols - 1}, or a longer text."
        )
    if wanted > largest:
        raise ArgumentError(
            f"--batch-size {wanted} is too large: {symbols} symbols of training text hold {largest} "
            f"streams of --update-every {update_every} steps: give at most {largest}, or a longer text."
        )
    return wanted or max(1, min(50, largest // 100))


class ChunkLoader:
    """Yields the chunks of a text, and can be told to go on from where another one stopped.

    The last chunk of a pass is shorter when the streams do not divide into whole chunks. An iteration starts at the
    beginning of the text, but for the first one after `load_state_dict`.

    Args:
        streams: the text.
        steps: the length T of a chunk.
        passes: how often the text is read.
    """

    def __init__(self, streams: Streams, steps: int, passes: int = 1) -> None:
        self._streams = streams
        self._steps = steps
        self._passes = passes
        self._position = 0
        self._start_at = 0

    @property
    def chunks_per_pass(self) -> int:
        """The number of chunks in one pass through the text."""
        return -(-self._streams.inputs.shape[0] // self._steps)

    def __len__(self) -> int:
        return self.chunks_per_pass * self._passes

    def __iter__(self) -> Iterator[Chunk]:
        self._position, self._start_at = self._start_at, 0
        while self._position < len(self):
            start = self._position % self.chunks_per_pass * self._steps
            self._position += 1
            yield self._streams.chunk(start, self._steps)

    def state_dict(self) -> dict[str, int]:
        """Return the position: how many chunks have been handed out."""
        return {"position": self._position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from a position that `state_dict` returned."""
        self._position = self._start_at = state["position"]
