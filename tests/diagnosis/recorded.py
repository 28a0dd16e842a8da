"""Recorded runs to diagnose."""

from functools import partial

import torch
from examples_of import INPUT, parameters_of

import throughtime as tt
from throughtime.cells import Cell
from throughtime.layers import RecurrentLayer
from throughtime.models.recording import RecordedRun, Recording

T, B = 11, 4
LENGTHS = [11, 0, 1, 6]


def resets() -> torch.Tensor:
    """Before the first step of one row, twice in another."""
    given = torch.zeros(T, B, dtype=torch.bool)
    given[0, 3] = given[4, 0] = given[9, 0] = given[3, 3] = True
    return given


MASKS: dict[str, dict] = {
    "plain": {},
    "lengths": {"lengths": LENGTHS},
    "resets": {"resets": resets()},
    "lengths-and-resets": {"lengths": LENGTHS, "resets": resets()},
}


def layer_of(cell: Cell) -> RecurrentLayer:
    """A layer of this cell, with a learned initial state that is not zero, and parameters that no symmetry helps."""
    layer = tt.Recurrent(cell, dtype=torch.float64, learn_initial_state=True)
    values = parameters_of(cell)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            own = name.removesuffix("_l0")
            parameter.copy_(values[own] if own in values else torch.randn_like(parameter))
    return layer


def start_of(cell: Cell, rows: int = B) -> tuple[torch.Tensor, ...]:
    return tuple(torch.randn(1, rows, size, dtype=torch.float64) for size in cell.state_sizes.values())


def recorded(layer: RecurrentLayer, x: torch.Tensor, hx=None, **options) -> RecordedRun:
    """The run of the first layer."""
    recording = Recording()
    before, layer.gradient = layer.gradient, recording
    layer(x, hx[0] if isinstance(hx, tuple) and len(hx) == 1 else hx, **options)[0].sum().backward()
    layer.gradient = before
    return recording.runs[-1]


def run_of(cell: Cell, masks: str = "plain") -> RecordedRun:
    """A run of any cell with INPUT features, from a start that is not zero."""
    return recorded(layer_of(cell), torch.randn(T, B, INPUT, dtype=torch.float64), start_of(cell), **MASKS[masks])


def jacobians(run: RecordedRun) -> dict[tuple[int, int], torch.Tensor]:
    """∂s_t/∂s_{t-1} by automatic differentiation of one step, at every (step, row) that is not padded or reset."""
    sequence, sizes = run.sequence, list(run.cell.state_sizes.values())
    steps, rows = sequence.shape
    parameters = {name: value.detach() for name, value in run.parameters.items()}
    found = {}
    for row in range(rows):
        for t in range(steps if sequence.lengths is None else int(sequence.lengths[row])):
            if sequence.resets is not None and sequence.resets[t, row]:
                continue
            state = torch.cat([member[t, row] for member in run.entering]).detach()
            step = partial(_step, run.cell, parameters, sequence.x[t, row].detach(), sizes)
            found[t, row] = torch.autograd.functional.jacobian(step, state)
    return found


def _step(cell: Cell, parameters, x: torch.Tensor, sizes: list[int], flat: torch.Tensor) -> torch.Tensor:
    """The state after a step, its members side by side, from the one before: [S] → [S]."""
    state = tuple(member[None] for member in flat.split(sizes))
    return torch.cat(cell.step(parameters, x[None], state), dim=-1)[0]
