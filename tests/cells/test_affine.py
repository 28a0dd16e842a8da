"""Every cell's closed forms against automatic differentiation and against differences, for all cells at once."""

import pytest
import torch
from examples_of import CELLS, INPUT, parameters_of, states_of
from oracles import central_differences, relative

from throughtime.cells import AffineCell, ElmanCell
from throughtime.errors import ArgumentError

ROWS = 2
AFFINE = {name: cell for name, cell in CELLS.items() if isinstance(cell, AffineCell)}


def _inputs(cell):
    return parameters_of(cell), torch.randn(ROWS, INPUT, dtype=torch.float64, requires_grad=True), states_of(cell, ROWS)


def _flat_step(cell, parameters, x, state):
    return torch.cat(cell.step(parameters, x, state), dim=-1)


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_step_vjp_is_autograd_of_step(cell):
    parameters, x, state = _inputs(cell)
    new = cell.step(parameters, x, state)
    cotangent = tuple(torch.randn_like(member) for member in new)
    wanted = [*parameters.values(), x, *state]
    expected = torch.autograd.grad(new, wanted, cotangent, materialize_grads=True)
    with torch.no_grad():
        d_parameters, d_x, d_state = cell.step_vjp(parameters, x, state, cotangent)
    ours = [*(d_parameters[name] for name in parameters), d_x, *d_state]
    for one, reference in zip(ours, expected, strict=True):
        assert relative(one, reference) <= 1e-14


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_state_jacobian_is_that_of_central_differences(cell):
    parameters, x, state = _inputs(cell)
    sizes = list(cell.state_sizes.values())
    jacobian = cell.state_jacobian(parameters, x, state).detach()
    for row in range(ROWS):

        def one_row(flat, row=row):
            members = tuple(part[None] for part in flat.split(sizes))
            return _flat_step(cell, parameters, x[row : row + 1], members)[0].detach()

        flat = torch.cat([member[row] for member in state]).detach()
        assert relative(jacobian[row], central_differences(one_row, flat)) <= 1e-9


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_immediate_derivative_is_that_of_autograd(cell):
    parameters, x, state = _inputs(cell)
    ours = cell.immediate_derivative(parameters, x, state)
    for row in range(ROWS):
        members = tuple(member[row : row + 1] for member in state)
        new = _flat_step(cell, parameters, x[row : row + 1], members)[0]
        for unit in range(len(new)):
            expected = torch.autograd.grad(
                new[unit], list(parameters.values()), retain_graph=True, materialize_grads=True
            )
            for name, reference in zip(parameters, expected, strict=True):
                assert relative(ours[name][row, unit], reference) <= 1e-13


@pytest.mark.parametrize("cell", AFFINE.values(), ids=AFFINE)
def test_update_is_pointwise(cell):
    """What every Jacobian of an affine cell relies on: unit j of the update sees unit j of everything only."""
    width = cell.gates * cell.hidden_size
    a_x, a_h = torch.randn(1, width, dtype=torch.float64), torch.randn(1, width, dtype=torch.float64)
    state = tuple(torch.randn(1, cell.hidden_size, dtype=torch.float64) for _ in cell.state_sizes)
    before, _ = cell.update(a_x, a_h, state)
    a_x.view(cell.gates, -1)[:, 2] += 0.3
    a_h.view(cell.gates, -1)[:, 2] -= 0.7
    for member in state:
        member[:, 2] += 0.5
    after, _ = cell.update(a_x, a_h, state)
    for old, new in zip(before, after, strict=True):
        changed = (old != new)[0]
        assert changed[2] and changed.sum() == 1


def test_sizes_are_refused_by_name():
    with pytest.raises(ArgumentError, match="hidden_size is 0; it must be a whole number, at least 1"):
        ElmanCell(3, 0)
    with pytest.raises(ArgumentError, match="input_size is 2.5"):
        ElmanCell(2.5, 3)  # type: ignore[arg-type]
