"""Running a sequence backwards: the second direction of a bidirectional layer is the first one on turned inputs."""

import torch
from jaxtyping import Bool
from torch import Tensor


def reversed_in_time(steps: Tensor, lengths: Tensor | None) -> Tensor:
    """[T, B, …] with each row's valid steps in the opposite order; padding stays where it is. Its own inverse."""
    if lengths is None:
        return steps.flip(0)
    t = torch.arange(len(steps), device=steps.device)[:, None]
    source = torch.where(t < lengths, lengths - 1 - t, t)
    return steps.gather(0, source.view(*source.shape, *[1] * (steps.dim() - 2)).expand_as(steps))


def reversed_resets(resets: Bool[Tensor, "time batch"], lengths: Tensor | None) -> Bool[Tensor, "time batch"]:
    """The same boundaries seen from the other end: "before step t" becomes "after step t"."""
    after = torch.cat((resets[1:], torch.zeros_like(resets[:1])))
    return reversed_in_time(after, lengths)
