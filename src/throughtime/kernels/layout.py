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
        reverse: whether each row is run from its last step to its first.
        lengths: [B] valid steps of each row.
        resets: [T, B] bytes, or [N].
        valid: N, where only valid rows are there.
    """

    steps: int
    batch: int
    reverse: bool = False
    lengths: Tensor | None = None
    resets: Tensor | None = None
    valid: int | None = None

    @classmethod
    def of(cls, sequence: Sequence) -> Layout:
        """The layout of a sequence."""
        steps, batch = sequence.shape
        resets = sequence.resets
        if resets is not None:
            resets = (resets if sequence.batch_sizes is None else sequence.from_padded(resets)).contiguous()
            resets = resets.view(torch.uint8)
        lengths = None if sequence.lengths is None else sequence.lengths.to(torch.int64).contiguous()
        valid = None if sequence.batch_sizes is None else len(sequence.x)
        return cls(steps, batch, sequence.reverse, lengths, resets, valid)

    def room(self, like: Tensor, *size: int) -> Tensor:
        """Room for [T, B, *size], or [N, *size]; zero where a kernel writes nothing, after a row's end."""
        if self.valid is not None:
            return like.new_empty(self.valid, *size)
        shape = (self.steps, self.batch, *size)
        return like.new_empty(shape) if self.lengths is None else like.new_zeros(shape)
