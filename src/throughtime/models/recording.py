"""Recorded runs: backward passes through single recurrences, with all that acted in each."""

from dataclasses import dataclass, field

from torch import Tensor

from throughtime.cells.base import Cell
from throughtime.cells.recurrence import Recurrence
from throughtime.gradients.base import GradientMethod
from throughtime.gradients.steps import direct
from throughtime.sequences.norms import StepNorms
from throughtime.sequences.runner import Cotangents, Pass, Trace
from throughtime.sequences.sequence import Sequence
from throughtime.sequences.tap import LayerTap
from throughtime.types import Gradients, Parameters, State


@dataclass(frozen=True)
class RecordedRun:
    """Record of a backward pass through a recurrence, from which its gradient can be divided.

    Attributes:
        recurrence: over a plain sequence.
        entering: the state that entered each step, each member [T, B, size].
        direct: ∂L/∂s_t of each step without what arrives from later steps of the same recurrence, likewise.
        tap: the norms of the total ∂L/∂s_t, where a tap was open.
    """

    recurrence: Recurrence
    entering: State
    direct: State
    tap: LayerTap | None = None

    @property
    def cell(self) -> Cell:
        """The cell of the recurrence."""
        return self.recurrence.cell

    @property
    def parameters(self) -> Parameters:
        """The parameters of the recurrence."""
        return self.recurrence.parameters

    @property
    def sequence(self) -> Sequence:
        """The sequence of the recurrence."""
        return self.recurrence.sequence

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
        some = self.recurrence.over(Sequence(whole.x[:, rows], initial, reset_state, lengths, resets, inert=True))
        first = tuple(member[0] for member in entering)
        return RecordedRun(some.part(start, len(whole.x), first), entering, to_each)


@dataclass(frozen=True)
class Recording(GradientMethod):
    """BPTT that records every backward pass in `runs`.

    Attributes:
        runs: in the order of the backward passes; runs without steps are left out.
    """

    runs: list[RecordedRun] = field(default_factory=list)

    def check(self, cell: Cell) -> None:
        """Every cell is served."""

    def forward(self, recurrence: Recurrence, keep: bool) -> Pass:
        return recurrence.forward("states" if keep else None)

    def backward(self, recurrence: Recurrence, trace: Trace, cotangents: Cotangents, norms: StepNorms) -> Gradients:
        if len(recurrence.sequence.x):
            to_each, _ = direct(recurrence.sequence, cotangents)
            self.runs.append(RecordedRun(recurrence, recurrence.entering(trace), to_each, norms.tap))
        return recurrence.backward(trace, cotangents, norms)


def entering_states(recurrence: Recurrence) -> tuple[State, State]:
    """Return the state that entered each step, [T, B, size] each, and the final state."""
    result = recurrence.forward("states")
    return recurrence.entering(result.trace), result.final
