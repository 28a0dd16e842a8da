"""All steps of a sequence as the rows of one batch, for the methods that need no loop over time."""

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
    """The steps of a plain sequence that count, as rows [N, …]: see `Sequence.rows`.

    Args:
        x, entering: what each row's step was given: its input [N, I], and its state, each member [N, size].
        residuals: what `Cell.pull_back` needs.
    """

    recurrence: Recurrence
    x: Tensor
    entering: State
    residuals: tuple[Tensor, ...]

    @classmethod
    def of(cls, recurrence: Recurrence, entering: State) -> "Steps":
        """Advance all steps at once from the states that entered them, each member [T, B, size]."""
        cell, parameters, sequence = recurrence.cell, recurrence.parameters, recurrence.sequence
        x, entering = sequence.rows(sequence.x), tuple(map(sequence.rows, entering))
        _, residuals = cell.advance(parameters, cell.project(parameters, x), entering)
        return cls(recurrence, x, entering, residuals)

    def pull_back(self, cotangents: State) -> tuple[tuple[Tensor, ...], State]:
        """Every step back at once: the errors [N, …], and J_tᵀ times the cotangents, each member [T, B, size]."""
        cell, sequence = self.recurrence.cell, self.recurrence.sequence
        rows = tuple(map(sequence.rows, cotangents))
        errors, d_entering = cell.pull_back(self.recurrence.parameters, self.residuals, rows)
        return errors, tuple(map(sequence.from_rows, d_entering))

    def one_step_earlier(self, cotangents: State) -> State:
        """What the cotangents of the steps, each member [T, B, size], become at the steps before; resets cut."""
        earlier, resets = [], self.recurrence.sequence.resets
        for member in self.pull_back(cotangents)[1]:
            passing = member if resets is None else member.masked_fill(resets[..., None], 0)
            earlier.append(torch.cat((passing[1:], torch.zeros_like(passing[:1]))))
        return tuple(earlier)

    def gradients(self, totals: State, unstepped: State, needs_x: bool, norms: StepNorms) -> Gradients:
        """All that follows from the total ∂L/∂s_t, each member [T, B, size]; `unstepped` is added to the initial."""
        norms.note(totals)
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
    """Return ∂L/∂s_t not by way of later steps, each member [T, B, size], and what of ∂L/∂(final) has no step.

    The final state is that of a row's last step that is no padding; a row of length 0 has none.
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
