"""Steps of a sequence as a batch of rows, without a loop over time."""

from dataclasses import dataclass

import torch
from torch import Tensor

from throughtime.cells.recurrence import Recurrence
from throughtime.sequences.norms import StepNorms
from throughtime.sequences.runner import Cotangents
from throughtime.sequences.sequence import Sequence, blank
from throughtime.types import Gradients, State


@dataclass(frozen=True)
class Steps:
    """Valid steps of a plain sequence, as rows [N, …] of `Sequence.rows`.

    Args:
        recurrence: the recurrence over the sequence.
        x: the inputs of the steps [N, I].
        entering: the states that entered the steps, each member [N, size].
        residuals: the residuals for `Cell.pull_back`.
    """

    recurrence: Recurrence
    x: Tensor
    entering: State
    residuals: tuple[Tensor, ...]

    @classmethod
    def of(cls, recurrence: Recurrence, entering: State) -> "Steps":
        """Advance all steps at once from the states that entered the steps.

        Each member of `entering` is [T, B, size].
        """
        cell, parameters, sequence = recurrence.cell, recurrence.parameters, recurrence.sequence
        x, entering = sequence.rows(sequence.x), tuple(map(sequence.rows, entering))
        _, residuals = cell.advance(parameters, cell.project(parameters, x), entering)
        return cls(recurrence, x, entering, residuals)

    def pull_back(self, cotangents: State) -> tuple[tuple[Tensor, ...], State]:
        """Go back by one step from all steps at once.

        Returns:
            The errors [N, …], and J_tᵀ times the cotangents, each member [T, B, size].
        """
        cell, sequence = self.recurrence.cell, self.recurrence.sequence
        rows = tuple(map(sequence.rows, cotangents))
        errors, d_entering = cell.pull_back(self.recurrence.parameters, self.residuals, rows)
        return errors, tuple(map(sequence.from_rows, d_entering))

    def one_step_earlier(self, cotangents: State) -> State:
        """Carry the cotangents of all steps to the steps before; resets cut.

        Each member is [T, B, size].
        """
        earlier, resets = [], self.recurrence.sequence.resets
        for member in self.pull_back(cotangents)[1]:
            passing = member if resets is None else member.masked_fill(resets[..., None], 0)
            earlier.append(torch.cat((passing[1:], torch.zeros_like(passing[:1]))))
        return tuple(earlier)

    def gradients(self, totals: State, unstepped: State, needs_x: bool, norms: StepNorms) -> Gradients:
        """Compute all gradients from the totals ∂L/∂s_t.

        Args:
            totals: ∂L/∂s_t, each member [T, B, size].
            unstepped: the part of ∂L/∂(initial state) that passes through no step, each member [B, size].
            needs_x: whether ∂L/∂x is computed.
            norms: records the norms of the totals.
        """
        norms.record_all(totals)
        errors, d_entering = self.pull_back(totals)
        cell, sequence = self.recurrence.cell, self.recurrence.sequence
        d_parameters, d_x = cell.accumulate(self.recurrence.parameters, self.x, self.entering, errors, needs_x)
        resets, d_reset = sequence.resets, None
        if resets is not None:
            d_reset = tuple(member.masked_fill(~resets[..., None], 0).sum(0) for member in d_entering)
            d_entering = tuple(blank(resets[0], member[0])[None] for member in d_entering)
        d_initial = tuple(member[0] + rest for member, rest in zip(d_entering, unstepped, strict=True))
        return Gradients(d_parameters, None if d_x is None else sequence.from_rows(d_x), d_initial, d_reset)


def direct(sequence: Sequence, cotangents: Cotangents) -> tuple[State, State]:
    """Compute the parts of ∂L/∂s_t that do not pass through later steps.

    The gradient of the final state enters at a row's last valid step; a row of length 0 has no such step.

    Returns:
        The parts, each member [T, B, size], and ∂L/∂(final state) of the rows of length 0, each member [B, size].
    """
    (steps, rows), d_outputs, d_final = sequence.shape, cotangents.outputs, cotangents.final
    lengths = d_outputs.new_full((rows,), steps, dtype=torch.int64) if sequence.lengths is None else sequence.lengths
    at = (lengths - 1).clamp(min=0), torch.arange(rows, device=lengths.device)
    outputs = d_outputs if sequence.padding is None else d_outputs.masked_fill(sequence.padding[..., None], 0)
    others = (d_outputs.new_zeros(steps, rows, member.shape[-1]) for member in d_final[1:])
    without_steps = (lengths == 0)[:, None]
    entering_at_the_end = (blank(without_steps, member) for member in d_final)
    members = zip((outputs, *others), entering_at_the_end, strict=True)
    return (
        tuple(member.index_put(at, final, accumulate=True) for member, final in members),
        tuple(blank(~without_steps, member) for member in d_final),
    )
