"""Gradients of recorded runs by lag: the steps from a weight to the loss."""

import torch
from torch import Tensor

from throughtime.gradients.base import GradientMethod
from throughtime.gradients.steps import Steps
from throughtime.models.recording import RecordedRun
from throughtime.sequences.norms import StepNorms
from throughtime.sequences.runner import Cotangents
from throughtime.sequences.sequence import Sequence, steps_since_start
from throughtime.types import Gradients

WINDOW_ELEMENTS = 2**27
"""The largest number of elements, about, of the windows run together: 0.5 GB in float32, 1 GB in float64."""
STATES_OF_A_STEP = 8
"""The number of tensors of the state's size that a step takes, at most.

The GRU takes most: 3 for the projected input and 5 for the residuals of `GRUCell.update`.
"""


def bands_of(ends: list[int]) -> list[range]:
    """Return adjacent bands of lags, from their ends; the first begins at 0."""
    return [range(start, end) for start, end in zip([0, *ends], ends, strict=False)]


def doubling_ends(steps: int) -> list[int]:
    """Return the ends 1, 2, 4, … and `steps` of bands of lags."""
    return [*(2**i for i in range((steps - 1).bit_length())), steps]


def exact_by_lag(run: RecordedRun, bands: list[range], least: float = 0.0) -> list[dict[str, Tensor]]:
    """Compute the exact gradient by way of each band of lags ([HSK] (10)).

    Args:
        run: the recorded run.
        bands: adjacent, in order, the first from lag 0.
        least: the sum ends at the lag from which on no entry of the losses' gradients exceeds `least`.

    Returns:
        For each band the gradient of each parameter, by the cell's names.

    Cost: O(T·B·S²) for each lag.
    """
    steps = Steps.of(run.recurrence, run.entering)
    nothing = tuple(torch.zeros_like(member[0]) for member in run.direct)
    reaching, lag, gradients = run.direct, 0, []
    for band in bands:
        totals = tuple(map(torch.zeros_like, run.direct))
        for _ in range(lag, min(band.stop, len(run.sequence.x))):
            if not any(bool((member.abs() > least).any()) for member in reaching):
                break
            totals = tuple(map(torch.add, totals, reaching))
            reaching = steps.one_step_earlier(reaching)
            lag += 1
        gradients.append(steps.gradients(totals, nothing, False, StepNorms()).parameters)
    return gradients


def estimate_by_lag(run: RecordedRun, method: GradientMethod, band: range) -> dict[str, Tensor]:
    """Compute the gradient that `method` adds for a band of lags.

    That is its gradient of each loss over the `band.stop` steps that end there, less that over `band.start` steps. The
    result has the gradient of each parameter, by the cell's names.
    """
    losses = _losses(run, band.start)
    gained = _over_windows(run, method, losses, band.stop)
    if not band.start:
        return gained
    before = _over_windows(run, method, losses, band.start)
    return {name: value - before[name] for name, value in gained.items()}


def _losses(run: RecordedRun, lag: int) -> Tensor:
    """Step and row [n, 2] of every loss with at least `lag` steps since the start or the last reset."""
    has_loss = torch.stack([member.ne(0).any(-1) for member in run.direct]).any(0)
    return (has_loss & (steps_since_start(run.sequence) >= lag)).nonzero()


def _over_windows(run: RecordedRun, method: GradientMethod, losses: Tensor, horizon: int) -> dict[str, Tensor]:
    """Sum the gradients of the losses by `method`, each over the last `horizon` steps."""
    total = {name: torch.zeros_like(value) for name, value in run.parameters.items()}
    if not len(losses):
        return total
    length = min(horizon, len(run.sequence.x))
    state = run.cell.state_size
    weights = sum(value.numel() for value in run.parameters.values())
    # The inputs and the tensors of each step, and ∂s/∂θ once, which some methods carry along.
    of_a_window = length * (run.sequence.x.shape[-1] + STATES_OF_A_STEP * state) + state * weights
    for some in losses.split(max(run.sequence.shape[1], WINDOW_ELEMENTS // of_a_window)):
        added = _differentiate(run, method, *_windows(run, length, *some.unbind(1))).parameters
        total = {name: value + added[name] for name, value in total.items()}
    return total


def _differentiate(run: RecordedRun, method: GradientMethod, sequence: Sequence, cotangents: Cotangents) -> Gradients:
    """Compute the gradients that `method` gives for the run's cell over another sequence."""
    recurrence = run.recurrence.over(sequence)
    trace = method.forward(recurrence, keep=True).trace
    return method.backward(recurrence, trace, cotangents, StepNorms(method.clip_step))


def _windows(run: RecordedRun, length: int, t: Tensor, row: Tensor) -> tuple[Sequence, Cotangents]:
    """Gather windows as rows of a sequence, with ∂L/∂h_t and ∂L/∂(final) of each.

    Window i has the steps of row[i] up to t[i], at most `length`; a shorter window is padded at its end.
    """
    first = (t - length + 1).clamp(min=0)
    steps = first + torch.arange(length, device=t.device)[:, None]
    inside, steps = steps <= t, steps.minimum(t)
    x = run.sequence.x[steps, row].masked_fill(~inside[..., None], 0)
    resets = None if run.sequence.resets is None else run.sequence.resets[steps, row] & inside
    initial = tuple(member[first, row] for member in run.entering)
    reset_state = tuple(member[row] for member in run.sequence.reset_state)
    at_the_end = tuple(member[t, row] for member in run.direct)
    d_outputs = x.new_zeros(length, len(t), at_the_end[0].shape[-1])
    d_outputs[t - first, torch.arange(len(t), device=t.device)] = at_the_end[0]
    d_final = torch.zeros_like(at_the_end[0]), *at_the_end[1:]
    lengths = None if bool(inside.all()) else t - first + 1
    windows = Sequence(x, initial, reset_state, lengths, resets, inert=True)
    return windows, Cotangents(d_outputs, d_final, needs_x=False)
