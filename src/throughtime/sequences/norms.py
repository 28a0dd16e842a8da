"""The norm of ∂L/∂h_t at every step: recorded for those who look, and held under a threshold for those who ask."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from throughtime.sequences.sequence import blank
from throughtime.sequences.tap import LayerTap
from throughtime.types import State


@dataclass
class StepNorms:
    """What happens to the total ∂L/∂s_t at each step of one backward pass, before it is passed on.

    Args:
        clip_step: each row's ∂L/∂s_t (all members of the state together) is scaled down to this norm where it is
            larger; None for never.
        tap: where the norms before clipping are recorded; None for nowhere.
    """

    clip_step: float | None = None
    tap: LayerTap | None = None

    def part(self, start: int, stop: int) -> "StepNorms":
        """The same for the steps start … stop - 1 alone, counted from 0."""
        return StepNorms(self.clip_step, self.tap and self.tap.part(start, stop))

    def pass_on(self, t: int, total: State, padding: Bool[Tensor, "batch 1"] | None) -> State:
        """The total ∂L/∂s_t, clipped; its norms go to the tap. Padded rows take no step: no norm, no clipping."""
        scale = self.scale(t, total, padding)
        return total if scale is None else tuple(member * scale for member in total)

    def note(self, totals: State) -> None:
        """Hand the norms of all totals at once, each member [T, B, size], to the tap; for those who never clip."""
        if self.tap is not None:
            self.tap.fill([torch.linalg.vector_norm(member.detach(), dim=-1) for member in totals], None)

    def scale(self, t: int, total: State, padding: Bool[Tensor, "batch 1"] | None) -> Float[Tensor, "batch 1"] | None:
        """By what each row of the total ∂L/∂s_t is to be multiplied; None where nothing is ever clipped."""
        if self.tap is None and self.clip_step is None:
            return None
        total = tuple(blank(padding, member) for member in total)
        norm = row_norm(total)
        if self.tap is not None:
            self.tap.record(t, total, norm, self.clip_step)
        if self.clip_step is None:
            return None
        # [T] clips "at each timestep", though not what it prints: the norm decides, and c / max(c, norm) is exactly 1
        # below the threshold, with no division by zero to differentiate.
        return (self.clip_step / norm.clamp(min=self.clip_step))[:, None]


def row_norm(members: State) -> Float[Tensor, " batch"]:
    """The 2-norm of each row over all members; scaled by the largest entry, so that squares cannot overflow."""
    together = members[0] if len(members) == 1 else torch.cat(members, dim=-1)
    if not together.shape[-1]:
        return together.new_zeros(together.shape[0])
    tiny = torch.finfo(together.dtype).tiny
    peak = together.detach().abs().amax(dim=-1, keepdim=True).clamp(min=tiny)
    return torch.linalg.vector_norm(together / peak, dim=-1) * peak[:, 0]
