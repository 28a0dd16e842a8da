import torch
from examples_of import HIDDEN, INPUT, parameters_of, states_of
from oracles import relative

from throughtime.cells import GRUCell


def test_step_is_torch_gru_cell():
    cell = GRUCell(INPUT, HIDDEN)
    parameters, x, (h,) = parameters_of(cell), torch.randn(2, INPUT, dtype=torch.float64), states_of(cell, 2)
    twin = torch.nn.GRUCell(INPUT, HIDDEN, dtype=torch.float64)
    expected = torch.func.functional_call(twin, parameters, (x, h))
    assert relative(cell.step(parameters, x, (h,))[0], expected) <= 1e-15


def test_without_recurrent_weights_the_jacobian_is_the_update_gate():
    cell = GRUCell(INPUT, HIDDEN, bias=False)
    parameters = parameters_of(cell) | {"weight_hh": torch.zeros(3 * HIDDEN, HIDDEN, dtype=torch.float64)}
    x, state = torch.randn(2, INPUT, dtype=torch.float64), states_of(cell, 2)
    z = torch.sigmoid((x @ parameters["weight_ih"].T)[:, HIDDEN : 2 * HIDDEN])
    assert relative(cell.state_jacobian(parameters, x, state), torch.diag_embed(z)) <= 1e-15


def test_the_new_state_is_made_of_the_activations():
    cell = GRUCell(INPUT, HIDDEN)
    parameters, x, (h,) = parameters_of(cell), torch.randn(4, INPUT, dtype=torch.float64), states_of(cell, 4)
    reset, update, new = cell.activations(parameters, x, (h,))
    assert [(one.name, one.role) for one in (reset, update, new)] == [
        ("reset gate", "gate"),
        ("update gate", "keep"),
        ("new", "content"),
    ]
    a_x = (x @ parameters["weight_ih"].T + parameters["bias_ih"]).chunk(3, dim=-1)
    a_h = (h @ parameters["weight_hh"].T + parameters["bias_hh"]).chunk(3, dim=-1)
    assert relative(reset.values, torch.sigmoid(a_x[0] + a_h[0])) <= 1e-14
    assert relative(new.preactivation, a_x[2] + reset.values * a_h[2]) <= 1e-14
    assert relative(new.values, torch.tanh(new.preactivation)) <= 1e-14
    (expected,) = cell.step(parameters, x, (h,))
    assert relative((1 - update.values) * new.values + update.values * h, expected) <= 1e-14
    assert [(one.low, one.high) for one in (reset, update, new)] == [(0, 1), (0, 1), (-1, 1)]
