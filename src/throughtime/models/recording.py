"""Recorded runs: backward passes through single recurrences, with all that acted in each."""

from dataclasses import dataclass, field

from torch import Tensor

from throughtime.cells.base import Cell
from throughtime.gradients.base import GradientMethod
from throughtime.gradients.bptt import BPTT
from throughtime.gradients.norms import StepNorms
from throughtime.gradients.sequence import Sequence
from throughtime.gradients.steps import direct
from throughtime.gradients.tap import LayerTap
from throughtime.types import Gradients, Parameters, State

_STATES = BPTT(save="states")


@dataclass(frozen=True)
class RecordedRun:
    """Record of a backward pass through a recurrence, from which its gradient can be divided.

    Attributes:
        cell, parameters, sequence: the recurrence.
        entering: the state that entered each step, each member [T, B, size].
        direct: ∂L/∂s_t of each step without what arrives from later steps of the same recurrence, likewise.
        tap: the norms of the total ∂L/∂s_t, where a tap was open.
    """

    cell: Cell
    parameters: Parameters
    sequence: Sequence
    entering: State
    direct: State
    tap: LayerTap | None = None

    def part(self, rows: Tensor, start: int = 0) -> "RecordedRun":
        """Restrict the run to the given rows and to the steps from `start` on.

        Args:
            rows: the numbers of the rows.
            start: the first step, counted from 0.

        Returns:
            The run of that part, without a tap.
        """
        whole = self.sequence
        entering, to_each = (tuple(member[start:, rows] for member in state) for state in (self.entering, self.direct))
        initial, reset_state = (tuple(member[rows] for member in state) for state in (whole.initial, whole.reset_state))
        lengths = None if whole.lengths is None else whole.lengths[rows]
        resets = None if whole.resets is None else whole.resets[:, rows]
        some = Sequence(whole.x[:, rows], initial, reset_state, lengths, resets, inert=True)
        first = tuple(member[0] for member in entering)
        return RecordedRun(self.cell, self.parameters, some.part(start, len(whole.x), first), entering, to_each)


@dataclass(frozen=True)
class Recording(GradientMethod):
    """BPTT that records every backward pass in `runs`.

    Attributes:
        runs: in the order of the backward passes; runs without steps are left out.
    """

    runs: list[RecordedRun] = field(default_factory=list)

    def check(self, cell: Cell) -> None:
        """Every cell is served."""

    def forward(
        self, cell: Cell, parameters: Parameters, sequence: Sequence, keep: bool
    ) -> tuple[Tensor, State, tuple[Tensor, ...]]:
        return _STATES.forward(cell, parameters, sequence, keep)

    def backward(
        self,
        cell: Cell,
        parameters: Parameters,
        sequence: Sequence,
        trace: tuple[Tensor, ...],
        d_outputs: Tensor,
        d_final: State,
        needs_x: bool,
        norms: StepNorms,
    ) -> Gradients:
        if len(sequence.x):
            to_each, _ = direct(sequence, d_outputs, d_final)
            entering = _STATES.entering(cell, sequence, trace)
            self.runs.append(RecordedRun(cell, parameters, sequence, entering, to_each, norms.tap))
        return _STATES.backward(cell, parameters, sequence, trace, d_outputs, d_final, needs_x, norms)


def entering_states(cell: Cell, parameters: Parameters, sequence: Sequence) -> tuple[State, State]:
    """Run a cell and return the state that entered each step, and the final state.

    Each member of the former is [T, B, size], of the latter [B, size].
    """
    _, final, trace = _STATES.forward(cell, parameters, sequence, keep=True)
    return _STATES.entering(cell, sequence, trace), final
