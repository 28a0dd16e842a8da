"""Recording and clipping of the norm of ∂L/∂h_t at every step."""

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from throughtime.sequences.row_norms import norm_in_units, row_norm
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

        Padded rows take no step: their norm is 0, and they are not clipped. Neither are rows with an entry that is not
        finite, which stay as they are.
        """
        scaling = self.scaling(t, total, padding)
        return total if scaling is None else tuple(member / scaling[0] * scaling[1] for member in total)

    def record_all(self, totals: State) -> None:
        """Record the norms of the totals of all steps at once, without clipping.

        Args:
            totals: ∂L/∂s_t of all steps, each member [T, B, size].
        """
        if self.tap is not None:
            self.tap.record_all([row_norm((member.detach(),)) for member in totals], None)

    def scaling(
        self, t: int, total: State, padding: Bool[Tensor, "batch 1"] | None
    ) -> tuple[Float[Tensor, "batch 1"], Float[Tensor, "batch 1"]] | None:
        """Record the norms of a step; return each row's divisor and factor.

        Both are 1 for a row that is not clipped, and None is returned without clipping. The quotient alone may be no
        normal number. For callers that scale by themselves; others use `clip`.
        """
        if self.tap is None and self.clip_step is None:
            return None
        total = tuple(blank(padding, member) for member in total)
        clipped = scaling = None
        if self.clip_step is not None:
            # [T] clips "at each timestep", though it prints a comparison of single entries; here the norm decides.
            in_units, units = norm_in_units(total)
            clipped = (in_units * units > self.clip_step) & in_units.isfinite()
            # Filled before the division too, which must have no infinite derivative at a norm of 0.
            factors = (self.clip_step / in_units.masked_fill(~clipped, 1)).masked_fill(~clipped, 1)
            scaling = units.masked_fill(~clipped, 1)[:, None], factors[:, None]
        if self.tap is not None:
            self.tap.record_step(t, [row_norm((member.detach(),)) for member in total], clipped)
        return scaling
