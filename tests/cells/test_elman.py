import math

import pytest
import torch
from examples_of import HIDDEN, INPUT, parameters_of, states_of
from oracles import relative

from throughtime.cells import ElmanCell
from throughtime.errors import ArgumentError


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_step_is_torch_rnn_cell(nonlinearity):
    cell = ElmanCell(INPUT, HIDDEN, nonlinearity=nonlinearity)
    parameters, x, (h,) = parameters_of(cell), torch.randn(2, INPUT, dtype=torch.float64), states_of(cell, 2)
    twin = torch.nn.RNNCell(INPUT, HIDDEN, nonlinearity=nonlinearity, dtype=torch.float64)
    expected = torch.func.functional_call(twin, parameters, (x, h))
    assert relative(cell.step(parameters, x, (h,))[0], expected) <= 1e-15


def test_identity_is_the_linear_recurrence():
    cell = ElmanCell(INPUT, HIDDEN, bias=False, nonlinearity="identity")
    parameters, x, (h,) = parameters_of(cell), torch.randn(2, INPUT, dtype=torch.float64), states_of(cell, 2)
    expected = torch.stack([parameters["weight_ih"] @ x[i] + parameters["weight_hh"] @ h[i] for i in range(2)])
    assert relative(cell.step(parameters, x, (h,))[0], expected) <= 1e-14


def test_the_fixed_point_of_the_scalar_network_and_its_contraction():
    """h = tanh(2h): h* = 0.95750402…, and ln |∂h_t/∂h_{t-1}| there is −1.79352850…"""
    cell, x = ElmanCell(1, 1, bias=False), torch.zeros(1, 1, dtype=torch.float64)
    parameters = {name: torch.full((1, 1), 2.0, dtype=torch.float64) for name in ("weight_ih", "weight_hh")}
    state = (torch.full((1, 1), 0.3, dtype=torch.float64),)
    for _ in range(60):
        state = cell.step(parameters, x, state)
    assert state[0].item() == pytest.approx(0.9575040240772688, abs=1e-15)
    jacobian = cell.state_jacobian(parameters, x, state)
    assert math.log(jacobian.item()) == pytest.approx(-1.793528506542228, abs=1e-13)


def test_relu_has_slope_zero_at_zero_and_passes_nan_as_torch_does():
    cell = ElmanCell(1, 3, bias=False, nonlinearity="relu")
    a = torch.tensor([[-1.0, 0.0, float("nan")]], dtype=torch.float64, requires_grad=True)
    expected = torch.autograd.grad(torch.relu(a).sum(), a)[0]
    _, residuals = cell.update(a.detach(), torch.zeros_like(a), (torch.zeros_like(a),))
    assert torch.equal(cell.update_vjp(residuals, (torch.ones_like(a),))[0], expected)


def test_an_unknown_nonlinearity_is_refused_by_name():
    with pytest.raises(ArgumentError, match="nonlinearity is 'sine'; it must be 'tanh', 'relu' or 'identity'"):
        ElmanCell(3, 5, nonlinearity="sine")  # type: ignore[arg-type]


@pytest.mark.parametrize(("nonlinearity", "linear"), [("tanh", False), ("relu", False), ("identity", True)])
def test_it_is_linear_exactly_with_the_identity(nonlinearity, linear):
    cell = ElmanCell(INPUT, HIDDEN, nonlinearity=nonlinearity)
    assert cell.linear is linear and not cell.diagonal


@pytest.mark.parametrize(
    ("nonlinearity", "low", "high"), [("tanh", -1, 1), ("relu", 0, math.inf), ("identity", None, 1)]
)
def test_its_activation_is_the_new_state_with_what_it_is_applied_to(nonlinearity, low, high):
    cell = ElmanCell(INPUT, HIDDEN, nonlinearity=nonlinearity)
    parameters, x, (h,) = parameters_of(cell), torch.randn(4, INPUT, dtype=torch.float64), states_of(cell, 4)
    (one,) = cell.activations(parameters, x, (h,))
    a = x @ parameters["weight_ih"].T + h @ parameters["weight_hh"].T + parameters["bias_ih"] + parameters["bias_hh"]
    assert (one.name, one.role) == ("h", "content")
    assert (one.low, one.high) == ((-math.inf, math.inf) if low is None else (low, high))
    assert relative(one.preactivation, a) <= 1e-14
    phi = {"tanh": torch.tanh, "relu": torch.relu, "identity": torch.clone}[nonlinearity]
    assert relative(one.values, phi(a)) <= 1e-14
