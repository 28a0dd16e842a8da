"""Find the first non-finite value of a computation. It may be a weight, an input, a state, the loss or a gradient."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from throughtime.diagnosis.capture import Capture
from throughtime.models.recording import RecordedRun
from throughtime.records import NonFinite, Source


def first_nonfinite(model: nn.Module, captured: Capture) -> NonFinite | None:
    """Return the first NaN or infinity in the order of the computation, or None.

    Weights come first, by name; then, layer by layer, the initial state (an input without a step), the inputs and the
    states; the loss; and then, from the last layer and step to the first, the gradient. Steps count in the order in
    which the recurrence runs, rows in the order of the input.
    """
    for name, parameter in model.named_parameters():
        if not parameter.detach().isfinite().all():
            return NonFinite(Source.WEIGHTS, name, -1, -1)
    for layer in captured.layers:
        for name, run in layer.runs.items():
            row = _first_bad_start(run)
            if row is not None:
                return NonFinite(Source.INPUT, name, -1, layer.call.layout.row_of(row))
            for source, steps in ((Source.INPUT, run.sequence.x), (Source.STATE, states_of(run))):
                place = _first_place(steps)
                if place is not None:
                    step, row = place
                    return NonFinite(source, name, step, layer.call.layout.row_of(row))
    if not math.isfinite(captured.loss):
        return NonFinite(Source.LOSS, "", -1, -1)
    return _in_the_gradient(captured)


def states_of(run: RecordedRun) -> Float[Tensor, "time batch size"]:
    """Return the state after each step, all members side by side, zero in padding."""
    sequence = run.sequence
    x, entering = sequence.rows(sequence.x), tuple(map(sequence.rows, run.entering))
    with torch.no_grad():
        state, _ = run.cell.advance(run.parameters, run.cell.project(run.parameters, x), entering)
    return sequence.from_rows(torch.cat(state, dim=-1))


def is_finite(run: RecordedRun) -> bool:
    """Return whether all weights, inputs and states of the recurrence are finite. The initial state counts."""
    given = all(bool(value.isfinite().all()) for value in (*run.parameters.values(), *run.entering))
    return given and _first_place(run.sequence.x) is None and _first_place(states_of(run)) is None


def _first_place(steps: Float[Tensor, "time batch size"]) -> tuple[int, int] | None:
    """Return (step, row) of the first entry that is not finite."""
    bad = (~steps.isfinite().all(-1)).nonzero()
    return (int(bad[0, 0]), int(bad[0, 1])) if len(bad) else None


def _first_bad_start(run: RecordedRun) -> int | None:
    """Return the first row that has steps and an initial state that is not finite."""
    bad = ~torch.cat([member[0] for member in run.entering], dim=-1).isfinite().all(-1)
    if run.sequence.lengths is not None:
        bad = bad & (run.sequence.lengths > 0)
    rows = bad.nonzero()
    return int(rows[0, 0]) if len(rows) else None


def _in_the_gradient(captured: Capture) -> NonFinite | None:
    """Return the place where the total gradient first is not finite, on its way from the last layer and step."""
    place = captured.taps.first_nonfinite()
    if place is None:
        return None
    name, step, row = place
    layout = next(layer.call.layout for layer in captured.layers if name in layer.runs)
    return NonFinite(Source.GRADIENT, name, step, layout.row_of(row))
