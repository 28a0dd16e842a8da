"""Where the rows of a sequence lie in the arrays that a kernel reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from throughtime.gradients.sequence import Sequence


@dataclass(frozen=True)
class Layout:
    """A sequence's lengths and resets as throughtime.h describes them; None where there is nothing to say.

    Attributes:
        steps, batch: T and B.
        lengths: [B] in decreasing order.
        order: [B] which row each of those belongs to.
        resets: [T, B] bytes.
    """

    steps: int
    batch: int
    lengths: Tensor | None = None
    order: Tensor | None = None
    resets: Tensor | None = None

    @classmethod
    def of(cls, sequence: Sequence) -> Layout:
        """The layout of a sequence."""
        steps, batch, _ = sequence.x.shape
        resets = None if sequence.resets is None else sequence.resets.contiguous().view(torch.uint8)
        if sequence.lengths is None:
            return cls(steps, batch, resets=resets)
        lengths, order = sequence.lengths.to(torch.int64).sort(descending=True, stable=True)
        return cls(steps, batch, lengths, order, resets)

    def room(self, like: Tensor, *size: int) -> Tensor:
        """Room for [T, B, *size]; zero where a kernel writes nothing, after a row's end."""
        shape = (self.steps, self.batch, *size)
        return like.new_empty(shape) if self.lengths is None else like.new_zeros(shape)
