"""A gradient sorted by lag: how far before the loss the weight acts. The exact one, and any method's own."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from throughtime.cells.base import Cell
from throughtime.gradients.base import GradientMethod
from throughtime.gradients.bptt import BPTT
from throughtime.gradients.steps import Steps, direct
from throughtime.sequences.norms import StepNorms
from throughtime.sequences.sequence import Sequence
from throughtime.sequences.tap import LayerTap
from throughtime.types import Gradients, Parameters, State

STATES = BPTT(save="states")
NUMBERS = 2**27
"""How many numbers the windows that are run together may hold, about, were the method one that carries ∂s/∂θ along."""


@dataclass(frozen=True)
class RecordedRun:
    """One backward pass through one recurrence, with all that is needed to take it apart.

    Args:
        entering: the state that entered each step, each member [T, B, size].
        own: ∂L/∂s_t not by way of later steps of this recurrence, likewise.
        tap: the record of the norms of its total ∂L/∂s_t, where a tap was open.
    """

    cell: Cell
    parameters: Parameters
    sequence: Sequence
    entering: State
    own: State
    tap: LayerTap | None = None

    def exact(self, bands: list[range], least: float = 0.0) -> list[dict[str, Tensor]]:
        """For each band of lags the exact gradient of all losses by way of these lags; the bands must be in order.

        Nothing is added from the lag on at which no entry of what is left of the losses' gradients is above `least`.
        """
        steps = Steps.of(self.cell, self.parameters, self.sequence, self.entering)
        nothing = tuple(torch.zeros_like(member[0]) for member in self.own)
        reaching, lag, gradients = self.own, 0, []
        for band in bands:
            totals = tuple(map(torch.zeros_like, self.own))
            for _ in range(lag, min(band.stop, len(self.sequence.x))):
                if not any(bool((member.abs() > least).any()) for member in reaching):
                    break
                totals = tuple(map(torch.add, totals, reaching))
                reaching = steps.one_step_earlier(reaching)
                lag += 1
            gradients.append(steps.gradients(totals, nothing, False, StepNorms()).parameters)
        return gradients

    def part(self, rows: Tensor, start: int = 0) -> "RecordedRun":
        """The same for some of the rows, by number, from step `start` on; without a tap."""
        whole = self.sequence
        entering, own = (tuple(member[start:, rows] for member in state) for state in (self.entering, self.own))
        initial, reset_state = (tuple(member[rows] for member in state) for state in (whole.initial, whole.reset_state))
        lengths = None if whole.lengths is None else whole.lengths[rows]
        resets = None if whole.resets is None else whole.resets[:, rows]
        some = Sequence(whole.x[:, rows], initial, reset_state, lengths, resets, inert=True)
        first = tuple(member[0] for member in entering)
        return RecordedRun(self.cell, self.parameters, some.part(start, len(whole.x), first), entering, own)

    def estimated(self, method: GradientMethod, band: range) -> dict[str, Tensor]:
        """What `method` adds when each loss is given the `band.stop` steps that end there, and not `band.start`."""
        losses = self._losses(band.start)
        gained = self._over_windows(method, losses, band.stop)
        if not band.start:
            return gained
        before = self._over_windows(method, losses, band.start)
        return {name: value - before[name] for name, value in gained.items()}

    def _losses(self, lag: int) -> Tensor:
        """[n, 2] step and row of every loss that has so many steps before it since its state last started anew."""
        steps = torch.arange(len(self.sequence.x), device=self.sequence.x.device)[:, None]
        resets = self.sequence.resets
        started = torch.zeros_like(steps) if resets is None else (resets * steps).cummax(0).values
        own = torch.stack([member.ne(0).any(-1) for member in self.own]).any(0)
        return (own & (steps - started >= lag)).nonzero()

    def _over_windows(self, method: GradientMethod, losses: Tensor, horizon: int) -> dict[str, Tensor]:
        """The sum of what `method` makes of each of the losses, given only the `horizon` steps that end there."""
        total = {name: torch.zeros_like(value) for name, value in self.parameters.items()}
        length = min(horizon, len(self.sequence.x))
        state = sum(member.shape[-1] for member in self.own)
        weights = sum(value.numel() for value in self.parameters.values())
        held = length * (self.sequence.x.shape[-1] + 8 * state) + state * weights
        for some in losses.split(max(self.sequence.shape[1], NUMBERS // held)) if len(losses) else ():
            windows, d_outputs, d_final = self._windows(length, *some.unbind(1))
            trace = method.forward(self.cell, self.parameters, windows, True)[2]
            norms = StepNorms(method.clip_step)
            of_windows = method.backward(
                self.cell, self.parameters, windows, trace, d_outputs, d_final, needs_x=False, norms=norms
            ).parameters
            total = {name: value + of_windows[name] for name, value in total.items()}
        return total

    def _windows(self, length: int, t: Tensor, row: Tensor) -> tuple[Sequence, Tensor, State]:
        """The windows as the rows of a sequence, each with ∂L/∂s at its last step: as ∂L/∂h_t and ∂L/∂(final)."""
        first = (t - length + 1).clamp(min=0)
        steps = first + torch.arange(length, device=t.device)[:, None]
        inside, steps = steps <= t, steps.minimum(t)
        x = self.sequence.x[steps, row].masked_fill(~inside[..., None], 0)
        resets = None if self.sequence.resets is None else self.sequence.resets[steps, row] & inside
        initial = tuple(member[first, row] for member in self.entering)
        reset_state = tuple(member[row] for member in self.sequence.reset_state)
        at_the_end = tuple(member[t, row] for member in self.own)
        d_outputs = x.new_zeros(length, len(t), at_the_end[0].shape[-1])
        d_outputs[t - first, torch.arange(len(t), device=t.device)] = at_the_end[0]
        d_final = torch.zeros_like(at_the_end[0]), *at_the_end[1:]
        lengths = None if bool(inside.all()) else t - first + 1
        return Sequence(x, initial, reset_state, lengths, resets, inert=True), d_outputs, d_final


@dataclass(frozen=True)
class Recording(GradientMethod):
    """BPTT that keeps what it went through."""

    runs: list[RecordedRun] = field(default_factory=list)

    def check(self, cell: Cell) -> None:
        """Every cell is served."""

    def forward(
        self, cell: Cell, parameters: Parameters, sequence: Sequence, keep: bool
    ) -> tuple[Tensor, State, tuple[Tensor, ...]]:
        return STATES.forward(cell, parameters, sequence, keep)

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
            own, _ = direct(sequence, d_outputs, d_final)
            entering = STATES.entering(cell, sequence, trace)
            self.runs.append(RecordedRun(cell, parameters, sequence, entering, own, norms.tap))
        return STATES.backward(cell, parameters, sequence, trace, d_outputs, d_final, needs_x, norms)
