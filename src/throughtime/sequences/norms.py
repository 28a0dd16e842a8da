"""Recording and clipping of the norm of ∂L/∂h_t at every step."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from throughtime.sequences.sequence import blank
from throughtime.sequences.tap import LayerTap
from throughtime.types import State


@dataclass
class StepNorms:
    """Per-step recording and clipping of the total ∂L/∂s_t in a backward pass.

    Args:
        clip_step: largest norm of a row's ∂L/∂s_t, over all members of the state together; a row with a larger norm
            is scaled down to it. None: no clipping.
        tap: record of the norms before clipping; None: no recording.
    """

    clip_step: float | None = None
    tap: LayerTap | None = None

    def part(self, start: int, stop: int) -> "StepNorms":
        """Restrict the record to the steps start … stop - 1, counted from 0."""
        return StepNorms(self.clip_step, self.tap and self.tap.part(start, stop))

    def clip(self, t: int, total: State, padding: Bool[Tensor, "batch 1"] | None) -> State:
        """Record the norms of the total ∂L/∂s_t and return the total clipped.

        Padded rows take no step: their norm is 0, and they are not clipped.
        """
        factors = self.clip_factors(t, total, padding)
        return total if factors is None else tuple(member * factors for member in total)

    def record_all(self, totals: State) -> None:
        """Record the norms of the totals of all steps at once, without clipping.

        Args:
            totals: ∂L/∂s_t of all steps, each member [T, B, size].
        """
        if self.tap is not None:
            self.tap.record_all([torch.linalg.vector_norm(member.detach(), dim=-1) for member in totals], None)

    def clip_factors(
        self, t: int, total: State, padding: Bool[Tensor, "batch 1"] | None
    ) -> Float[Tensor, "batch 1"] | None:
        """Record the norms of the total ∂L/∂s_t and return the factor of each row.

        `clip` calls this method; only a caller that scales by itself calls it directly. None: no clipping.
        """
        if self.tap is None and self.clip_step is None:
            return None
        total = tuple(blank(padding, member) for member in total)
        norm = row_norm(total)
        if self.tap is not None:
            self.tap.record_step(t, total, norm, self.clip_step)
        if self.clip_step is None:
            return None
        # [T] clips "at each timestep", though it prints a comparison of single entries; here the norm decides. The
        # factor c / max(c, norm) is exactly 1 below the threshold, with no division by zero to differentiate.
        return (self.clip_step / norm.clamp(min=self.clip_step))[:, None]


def row_norm(members: State) -> Float[Tensor, " batch"]:
    """Compute the 2-norm of each row over all members.

    Rows are scaled by their largest entry first, so that squares cannot overflow.
    """
    together = members[0] if len(members) == 1 else torch.cat(members, dim=-1)
    if not together.shape[-1]:
        return together.new_zeros(together.shape[0])
    tiny = torch.finfo(together.dtype).tiny
    peak = together.detach().abs().amax(dim=-1, keepdim=True).clamp(min=tiny)
    return torch.linalg.vector_norm(together / peak, dim=-1) * peak[:, 0]
