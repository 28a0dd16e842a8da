"""Where the rows of a sequence lie in the arrays that a kernel reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from throughtime.errors import ArgumentError

if TYPE_CHECKING:
    from throughtime.gradients.sequence import Sequence


@dataclass(frozen=True)
class Layout:
    """A sequence's lengths and resets as throughtime.h describes them; None where there is nothing to say.

    Attributes:
        steps, batch: T and B.
        reverse: whether each row is run from its last step to its first.
        lengths: [B] in decreasing order.
        order: [B] which row each of those belongs to.
        resets: [T, B] bytes, or [N].
        offsets: [T + 1] where each step's rows begin, where only valid rows are there.
        valid: how many there are, then.
    """

    steps: int
    batch: int
    reverse: bool = False
    lengths: Tensor | None = None
    order: Tensor | None = None
    resets: Tensor | None = None
    offsets: Tensor | None = None
    valid: int | None = None

    @classmethod
    def of(cls, sequence: Sequence) -> Layout:
        """The layout of a sequence."""
        steps, batch = sequence.shape
        resets = sequence.resets
        if resets is not None:
            resets = (resets if sequence.batch_sizes is None else sequence.from_padded(resets)).contiguous()
            resets = resets.view(torch.uint8)
        if sequence.lengths is None:
            return cls(steps, batch, reverse=sequence.reverse, resets=resets)
        if sequence.batch_sizes is not None:
            offsets = torch.zeros(steps + 1, dtype=torch.int64)
            torch.cumsum(sequence.batch_sizes, 0, out=offsets[1:])
            return cls(steps, batch, sequence.reverse, sequence.lengths, None, resets, offsets, len(sequence.x))
        lengths, order = sequence.lengths.to(torch.int64).sort(descending=True, stable=True)
        if batch and not 0 <= int(lengths[-1]) <= int(lengths[0]) <= steps:
            raise ArgumentError(f"lengths lie in {int(lengths[-1])} … {int(lengths[0])}; they must lie in 0 … {steps}")
        return cls(steps, batch, sequence.reverse, lengths, order, resets)

    def room(self, like: Tensor, *size: int) -> Tensor:
        """Room for [T, B, *size], or [N, *size]; zero where a kernel writes nothing, after a row's end."""
        if self.valid is not None:
            return like.new_empty(self.valid, *size)
        shape = (self.steps, self.batch, *size)
        return like.new_empty(shape) if self.lengths is None else like.new_zeros(shape)
