"""Where the rows of a sequence lie in the arrays that a kernel reads: all of them, or only the valid ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from throughtime.types import State

if TYPE_CHECKING:
    from throughtime.gradients.sequence import Sequence

ROWS_OF_A_CHUNK = 4096


@dataclass(frozen=True)
class Packing:
    """The rows in the order that throughtime.h describes: step by step, without padding the longest first.

    Attributes:
        steps, batch: T and B.
        offsets: [T + 1] where each step's rows begin; None where every step has all B rows.
        order: the batch's rows by decreasing length; None likewise.
        index: for each of the N rows its place t · B + b in the padded arrays; None likewise.
        resets: [N] bytes, or None.
    """

    steps: int
    batch: int
    offsets: Tensor | None = None
    order: Tensor | None = None
    index: Tensor | None = None
    resets: Tensor | None = None

    @classmethod
    def of(cls, sequence: Sequence) -> Packing:
        """The packing of a sequence's rows; leaves nothing out where it has no lengths."""
        steps, batch = sequence.x.shape[:2]
        resets = None if sequence.resets is None else sequence.resets.contiguous().view(torch.uint8).flatten()
        if sequence.lengths is None:
            return cls(steps, batch, resets=resets)
        lengths, order = sequence.lengths.sort(descending=True, stable=True)
        t = torch.arange(steps)[:, None]
        alive = t < lengths
        index = (t * batch + order)[alive]
        offsets = torch.zeros(steps + 1, dtype=torch.int64)
        torch.cumsum(alive.sum(dim=1), 0, out=offsets[1:])
        return cls(steps, batch, offsets, order, index, None if resets is None else resets[index])

    def rows(self, padded: Tensor) -> Tensor:
        """[T, B, …] → [N, …], dense."""
        flat = padded.contiguous().view(-1, padded.shape[-1])  # a gradient may be one number, expanded
        return flat if self.index is None else flat.index_select(0, self.index)

    def steps_of(self, rows: Tensor) -> Tensor:
        """[N, …] → [T, B, …], zero in padding; outputs that already have that shape as they are."""
        if self.index is None:
            return rows if rows.dim() == 3 else rows.view(self.steps, self.batch, -1)
        padded = rows.new_zeros(self.steps * self.batch, rows.shape[-1])
        return padded.index_copy_(0, self.index, rows).view(self.steps, self.batch, -1)

    def empty_outputs(self, like: Tensor, size: int) -> Tensor:
        """Room for the outputs: [T, B, size] or, packed, [N, size]."""
        shape = (self.steps, self.batch) if self.index is None else (len(self.index),)
        return like.new_empty(*shape, size)

    def states(self, states: State) -> State:
        """States [B, size], dense and in the rows' order."""
        if self.order is None:
            return tuple(member.contiguous() for member in states)
        return tuple(member.index_select(0, self.order) for member in states)

    def states_back(self, states: State) -> State:
        """The reverse of `states`."""
        if self.order is None:
            return states
        return tuple(torch.empty_like(member).index_copy_(0, self.order, member) for member in states)

    def span(self, start: int, stop: int) -> slice:
        """The rows of steps start … stop - 1."""
        if self.offsets is None:
            return slice(start * self.batch, stop * self.batch)
        return slice(int(self.offsets[start]), int(self.offsets[stop]))

    def chunks(self) -> Iterator[tuple[int, int]]:
        """The steps in pieces of some thousand rows, the last piece first: (first step, step after the last)."""
        size = max(1, ROWS_OF_A_CHUNK // max(1, self.batch))
        for start in reversed(range(0, self.steps, size)):
            yield start, min(start + size, self.steps)

    def part(self, start: int, stop: int) -> Packing:
        """The packing of steps start … stop - 1 alone, without the rows' places in padded arrays."""
        cut = self.span(start, stop)
        offsets = None if self.offsets is None else self.offsets[start : stop + 1] - self.offsets[start]
        return Packing(stop - start, self.batch, offsets, resets=None if self.resets is None else self.resets[cut])

    def state_before(self, start: int, rows: Tensor) -> Tensor:
        """[B, size]: of `rows` [N, size] those of step start - 1; rows of the batch that had ended by then are zero."""
        last = rows[self.span(start - 1, start)]
        return (
            last
            if len(last) == self.batch
            else torch.cat((last, last.new_zeros(self.batch - len(last), last.shape[1])))
        )

    def entering(self, h: Tensor, initial: Tensor, reset: Tensor | None) -> list[tuple[slice, Tensor]]:
        """h_{t-1} as it entered each row's step, in parts (which rows, their states), copied only where it must be."""
        if self.offsets is None and self.resets is None:
            first = slice(0, self.batch)
            rest = [(slice(self.batch, None), h[: -self.batch])] if self.steps > 1 else []
            return [(first, initial), *rest]
        if self.offsets is None:
            b = torch.arange(self.batch).repeat(self.steps)
            before = torch.cat((initial, h[: -self.batch]))
        else:
            alive = self.offsets.diff()
            first = int(alive[0])
            b = torch.arange(len(h)) - self.offsets[:-1].repeat_interleave(alive)
            previous = self.offsets[:-2].repeat_interleave(alive[1:]) + b[first:]
            before = torch.cat((initial[:first], h.index_select(0, previous)))
        if self.resets is not None and reset is not None:
            rows = self.resets.nonzero()[:, 0]
            before = before.index_copy(0, rows, reset.index_select(0, b[rows]))
        return [(slice(None), before)]
