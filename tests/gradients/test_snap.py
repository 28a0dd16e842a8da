import pytest
import torch
from examples_of import CELLS, HIDDEN, INPUT
from gradients.forward_problems import away, of_weights, problem
from oracles import relative

import throughtime as tt
from throughtime.cells import ElmanCell, FunctionCell
from throughtime.errors import ArgumentError
from throughtime.gradients.systems import CellSystem


def _error(method, given):
    exact = of_weights(given.gradients(tt.BPTT()), given.parameters)
    return relative(of_weights(given.gradients(method), given.parameters), exact)


def test_order_one_is_exact_where_units_are_not_connected():
    weights = torch.diag(torch.randn(HIDDEN, dtype=torch.float64))
    given = problem(ElmanCell(INPUT, HIDDEN), "lengths resets", replaced={"weight_hh": weights})
    distances = away(given.gradients(tt.SnAp(1)), given.gradients(tt.BPTT()))
    # ∂W_hh is wanted off the diagonal too, where no trace of a zero weight's own unit is left out either
    assert max(distances.values()) <= 1e-12, distances

    values = {
        "w": torch.randn(HIDDEN, dtype=torch.float64),
        "w_in": torch.randn(HIDDEN, INPUT, dtype=torch.float64),
    }
    diagonal = FunctionCell(lambda p, x, h: torch.tanh(p["w"] * h + x @ p["w_in"].T), values, HIDDEN, INPUT)
    given = problem(diagonal, "lengths resets")
    distances = away(given.gradients(tt.SnAp(1)), given.gradients(tt.BPTT()))
    assert max(distances.values()) <= 1e-12, distances


@pytest.mark.parametrize("name", ["Elman-tanh", "LSTM", "GRU", "LSTM-proj", "function"])
def test_order_one_is_an_approximation_where_they_are(name):
    given = problem(CELLS[name])
    assert 0.02 < _error(tt.SnAp(1), given) < 1


def test_on_a_ring_each_order_comes_closer():
    """W_hh a cyclic shift: a weight reaches one unit further with each step, and order H reaches them all."""
    ring = torch.diag(torch.rand(HIDDEN, dtype=torch.float64) + 0.7).roll(1, dims=0)
    given = problem(ElmanCell(INPUT, HIDDEN, nonlinearity="identity"), replaced={"weight_hh": ring})
    errors = [_error(tt.SnAp(order), given) for order in range(1, HIDDEN + 1)]
    assert all(later < 0.95 * earlier for earlier, later in zip(errors, errors[1:], strict=False)), errors
    assert errors[-2] > 1e-3 and errors[-1] <= 1e-12, errors


@pytest.mark.parametrize("order", [2, 40])
@pytest.mark.parametrize("name", ["Elman-relu", "LSTM", "GRU"])
def test_with_dense_weights_every_higher_order_is_rtrl(name, order):
    given = problem(CELLS[name], "lengths resets")
    ours, reference = given.gradients(tt.SnAp(order)), given.gradients(tt.RTRL())
    assert all(torch.equal(ours[name], reference[name]) for name in reference)


@pytest.mark.parametrize("name", ["LSTM", "LSTM-proj"])
def test_order_one_is_the_masked_recursion_written_out(name):
    """For an LSTM all members of a weight's unit are kept, with a projection what the weight acts on at once."""
    given = problem(CELLS[name])
    cell, values = given.cell, {name: value.detach() for name, value in given.parameters.items()}
    state = tuple(member.detach() for member in given.sequence.initial)
    unit = torch.cat([torch.arange(len(v)).repeat_interleave(v[0].numel()) % HIDDEN for v in values.values()])
    mask = torch.arange(2 * HIDDEN)[:, None] % HIDDEN == unit
    influence, total = 0.0, torch.zeros(len(unit), dtype=torch.float64)
    for t, x in enumerate(given.sequence.x.detach()):
        by_name = cell.immediate_derivative(values, x, state)
        b = torch.cat([by_name[name].flatten(2) for name in values], dim=2)
        mask = mask if name == "LSTM" else (b != 0).any(dim=0)
        final = given.weights[1:] if t == len(given.sequence.x) - 1 else tuple(map(torch.zeros_like, state))
        g = torch.cat((given.weights[0][t] + final[0], final[1]), dim=-1)
        now = b + (cell.state_jacobian(values, x, state) @ influence if torch.is_tensor(influence) else 0)
        total += torch.einsum("bs,bsp->p", g, now)
        influence = now * mask
        state = cell.step(values, x, state)
    assert relative(of_weights(given.gradients(tt.SnAp(1)), values), total) <= 1e-13


def test_units_that_sleep_at_first_are_not_taken_for_absent():
    rnn = tt.RNN(INPUT, HIDDEN, nonlinearity="relu", dtype=torch.float64)
    with torch.no_grad():
        rnn.bias_ih_l0.fill_(-10.0)  # they wake up at inputs thirty times the usual size
    x, y = torch.randn(2, 9, 4, HIDDEN, dtype=torch.float64)
    bias = tt.gradient_bias(tt.SnAp(2), rnn, torch.nn.functional.mse_loss, 30 * x[..., :INPUT], y)
    assert bias.total.norm > 0.1 and bias.total.error <= 1e-13


def test_no_connection_of_a_wide_network_is_overlooked():
    cell = tt.cells.LSTMCell(3000, 20, proj_size=3)
    influence = tt.SnAp(2).influence(CellSystem(cell, cell.initial_parameters()), 1)
    assert "mask" not in influence.tensors()  # all is kept, as every unit is reached within two steps


@pytest.mark.parametrize("order", [0, -1, 1.5, True, None])
def test_an_order_that_is_none_is_refused(order):
    with pytest.raises(ArgumentError, match=rf"order is {order!r}; it must be a whole number, at least 1"):
        tt.SnAp(order)
