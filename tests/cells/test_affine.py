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


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_input_jacobian_is_that_of_autograd(cell):
    parameters, x, state = _inputs(cell)
    ours = cell.input_jacobian(parameters, x, state).detach()
    assert ours.shape == (ROWS, sum(cell.state_sizes.values()), INPUT)
    new = _flat_step(cell, parameters, x, state)
    for unit in range(new.shape[1]):
        (expected,) = torch.autograd.grad(new[:, unit].sum(), x, retain_graph=True)
        assert relative(ours[:, unit], expected) <= 1e-13


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_the_immediate_derivative_is_added_to_what_is_there(cell, mixed):
    """B_t, or a product with it, on top of anything, in views of a larger tensor as well."""
    parameters, x, state = _inputs(cell)
    size = sum(cell.state_sizes.values())
    mix = torch.randn(ROWS, size + 2, size, dtype=torch.float64) if mixed else None
    rows = size + 2 if mixed else size
    before = {name: torch.randn(ROWS, rows + 1, *v.shape, dtype=torch.float64) for name, v in parameters.items()}
    whole = {name: value.clone() for name, value in before.items()}
    with torch.no_grad():
        cell.add_immediate(parameters, x, state, {name: value.narrow(1, 1, rows) for name, value in whole.items()}, mix)
        immediate = cell.immediate_derivative(parameters, x, state)
    for name, value in whole.items():
        b = immediate[name] if mix is None else torch.einsum("brs,bs...->br...", mix, immediate[name])
        assert torch.equal(value[:, 0], before[name][:, 0]), "beside the view"
        assert relative(value[:, 1:], before[name][:, 1:] + b) <= 1e-14, name


UNITS = {name: cell for name, cell in AFFINE.items() if not cell.proj_size}


@pytest.mark.parametrize("cell", UNITS.values(), ids=UNITS)
def test_units_by_themselves_are_the_diagonals_of_the_blocks(cell):
    parameters, x, state = _inputs(cell)
    hidden, members = cell.hidden_size, len(cell.state_sizes)
    blocks = cell.state_jacobian(parameters, x, state).unflatten(2, (members, hidden)).unflatten(1, (members, hidden))
    ours = cell.unit_jacobian(parameters, x, state, recurrent=True)
    assert relative(ours, torch.einsum("bmjnj->bmnj", blocks)) <= 1e-14
    without = parameters | {"weight_hh": torch.zeros_like(parameters["weight_hh"])}
    past = cell.unit_jacobian(without, x, state, recurrent=True)
    assert relative(cell.unit_jacobian(without, x, state, recurrent=False), past) <= 1e-15


@pytest.mark.parametrize("cell", UNITS.values(), ids=UNITS)
def test_past_the_recurrent_weights_is_what_autograd_finds_there(cell):
    parameters, x, state = _inputs(cell)
    a_h = torch.nn.functional.linear(state[0].detach(), parameters["weight_hh"], parameters.get("bias_hh"))
    new, _ = cell.update(cell.project(parameters, x), a_h, state)
    ours = cell.unit_jacobian(parameters, x, state, recurrent=False)
    for m, member in enumerate(new):
        expected = torch.autograd.grad(member.sum(), state, retain_graph=True, materialize_grads=True)
        for n, reference in enumerate(expected):
            assert relative(ours[:, m, n], reference) <= 1e-14, (m, n)


@pytest.mark.parametrize("cell", UNITS.values(), ids=UNITS)
def test_the_immediate_derivative_is_nowhere_but_at_its_own_units(cell):
    parameters, x, state = _inputs(cell)
    members, hidden = len(cell.state_sizes), cell.hidden_size
    units = cell.unit_immediate(parameters, x, state)
    for name, dense in cell.immediate_derivative(parameters, x, state).items():
        rows = torch.arange(dense.shape[2])
        for m in range(members):
            block = dense[:, m * hidden : (m + 1) * hidden].clone()
            assert relative(units[name][:, m], block[:, rows % hidden, rows]) <= 1e-15
            block[:, rows % hidden, rows] = 0
            assert torch.count_nonzero(block) == 0, name


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
