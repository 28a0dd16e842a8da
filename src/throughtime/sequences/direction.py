"""Reverse sequences in time.

The second direction of a bidirectional layer is its first direction on reversed inputs.
"""

import torch
from jaxtyping import Bool
from torch import Tensor


def reversed_in_time(steps: Tensor, lengths: Tensor | None) -> Tensor:
    """Reverse each row's valid steps and leave its padding in place.

    The function is its own inverse.

    Args:
        steps: [T, B, …].
        lengths: valid steps of each row [B]; None where all rows are full.
    """
    if lengths is None:
        return steps.flip(0)
    t = torch.arange(len(steps), device=steps.device)[:, None]
    source = torch.where(t < lengths, lengths - 1 - t, t)
    return steps.gather(0, source.view(*source.shape, *[1] * (steps.dim() - 2)).expand_as(steps))


def reversed_resets(resets: Bool[Tensor, "time batch"], lengths: Tensor | None) -> Bool[Tensor, "time batch"]:
    """Return the resets for the reversed sequence: "before step t" becomes "after step t"."""
    after = torch.cat((resets[1:], torch.zeros_like(resets[:1])))
    return reversed_in_time(after, lengths)
