import pytest
import torch
from examples_of import HIDDEN, INPUT, parameters_of, states_of
from oracles import relative

from throughtime.cells import LSTMCell
from throughtime.errors import ArgumentError


def test_step_is_torch_lstm_cell():
    cell = LSTMCell(INPUT, HIDDEN)
    parameters, x, state = parameters_of(cell), torch.randn(2, INPUT, dtype=torch.float64), states_of(cell, 2)
    twin = torch.nn.LSTMCell(INPUT, HIDDEN, dtype=torch.float64)
    expected = torch.func.functional_call(twin, parameters, (x, state))
    for ours, reference in zip(cell.step(parameters, x, state), expected, strict=True):
        assert relative(ours, reference) <= 1e-15


def test_projected_step_is_torch_lstm_over_one_step():
    cell = LSTMCell(INPUT, HIDDEN, proj_size=2)
    parameters, x, (h, c) = parameters_of(cell), torch.randn(2, INPUT, dtype=torch.float64), states_of(cell, 2)
    twin = torch.nn.LSTM(INPUT, HIDDEN, proj_size=2, dtype=torch.float64)
    renamed = {f"{name}_l0": value for name, value in parameters.items()}
    _, expected = torch.func.functional_call(twin, renamed, (x[None], (h[None], c[None])))
    for ours, reference in zip(cell.step(parameters, x, (h, c)), expected, strict=True):
        assert relative(ours, reference[0]) <= 1e-15


def test_without_recurrent_weights_the_jacobian_is_the_forget_gate():
    """h_{t-1} then has no influence, and c_{t-1} acts on c_t through f alone."""
    cell = LSTMCell(INPUT, HIDDEN)
    parameters = parameters_of(cell) | {"weight_hh": torch.zeros(4 * HIDDEN, HIDDEN, dtype=torch.float64)}
    x, state = torch.randn(2, INPUT, dtype=torch.float64), states_of(cell, 2)
    jacobian = cell.state_jacobian(parameters, x, state)
    a = x @ parameters["weight_ih"].T + parameters["bias_ih"] + parameters["bias_hh"]
    forget = torch.sigmoid(a[:, HIDDEN : 2 * HIDDEN])
    assert torch.count_nonzero(jacobian[:, :, :HIDDEN]) == 0
    assert relative(jacobian[:, HIDDEN:, HIDDEN:], torch.diag_embed(forget)) <= 1e-15


def test_a_projection_that_does_not_shrink_is_refused_by_name():
    with pytest.raises(ArgumentError, match="proj_size is 5; it must be 0 .none. or smaller than hidden_size = 5"):
        LSTMCell(3, 5, proj_size=5)


@pytest.mark.parametrize("proj_size", [0, 2])
def test_the_new_state_is_made_of_the_activations(proj_size):
    cell = LSTMCell(INPUT, HIDDEN, proj_size=proj_size)
    parameters, x, (h, c) = parameters_of(cell), torch.randn(4, INPUT, dtype=torch.float64), states_of(cell, 4)
    i, f, g, o, tanh_c = cell.activations(parameters, x, (h, c))
    assert [(one.name, one.role, one.low, one.high) for one in (i, f, g, o, tanh_c)] == [
        ("input gate", "gate", 0, 1),
        ("forget gate", "keep", 0, 1),
        ("candidate", "content", -1, 1),
        ("output gate", "gate", 0, 1),
        ("tanh(c)", "content", -1, 1),
    ]
    a = x @ parameters["weight_ih"].T + h @ parameters["weight_hh"].T + parameters["bias_ih"] + parameters["bias_hh"]
    assert relative(i.values, torch.sigmoid(a[:, :HIDDEN])) <= 1e-14
    assert relative(g.preactivation, a[:, 2 * HIDDEN : 3 * HIDDEN]) <= 1e-14
    assert relative(g.values, torch.tanh(g.preactivation)) <= 1e-14
    new_h, new_c = cell.step(parameters, x, (h, c))
    assert relative(f.values * c + i.values * g.values, new_c) <= 1e-14
    assert relative(tanh_c.preactivation, new_c) <= 1e-14
    u = o.values * tanh_c.values
    assert relative(u @ parameters["weight_hr"].T if proj_size else u, new_h) <= 1e-14
