import math

import pytest
import torch
from diagnosis.recorded import MASKS, B, T, layer_of, start_of
from examples_of import CELLS, INPUT
from oracles import central_differences, relative

import throughtime as tt
from throughtime.diagnosis import floss, flossing_loss, lyapunov_exponents
from throughtime.errors import ArgumentError

SMOOTH = pytest.mark.parametrize("name", [name for name in CELLS if name != "Elman-relu"])


def _problem(name: str):
    cell = CELLS[name]
    hx = start_of(cell)
    return layer_of(cell), torch.randn(T, B, INPUT, dtype=torch.float64), hx if len(hx) > 1 else hx[0]


@pytest.mark.parametrize("masks", MASKS)
@SMOOTH
def test_it_is_the_sum_of_squares_of_the_exponents(name, masks):
    layer, x, hx = _problem(name)
    loss = flossing_loss(layer, x, hx, count=2, target=0.3, **MASKS[masks])
    exponents = lyapunov_exponents(layer, x, hx, count=2, **MASKS[masks]).exponents
    assert loss.item() == pytest.approx(sum((exponent - 0.3) ** 2 for exponent in exponents), rel=1e-9)
    assert loss.dtype == torch.float64 and loss.shape == ()


@pytest.mark.parametrize("masks", ["plain", "lengths-and-resets"])
@SMOOTH
def test_its_gradient_is_that_of_central_differences(name, masks):
    """By every parameter, the initial state that resets return to among them, and by x."""
    layer, x, hx = _problem(name)
    x.requires_grad_()

    def loss() -> torch.Tensor:
        return flossing_loss(layer, x, hx, count=2, target=-0.2, discard=1, **MASKS[masks])

    leaves = [*layer.parameters(), x]
    gradients = torch.autograd.grad(loss(), leaves, materialize_grads=True)
    direction = [0.03 * torch.randn_like(leaf) for leaf in leaves]
    start = [leaf.detach().clone() for leaf in leaves]

    def along(step: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            for leaf, value, way in zip(leaves, start, direction, strict=True):
                leaf.copy_(value + step * way)
        return loss().detach()

    numeric = central_differences(along, torch.zeros(1, dtype=torch.float64))
    exact = sum((g * way).sum() for g, way in zip(gradients, direction, strict=True))
    assert relative(exact.detach(), numeric[0]) < 1e-7 and abs(exact.item()) > 1e-5


def test_a_layer_above_is_flossed_through_those_below():
    torch.manual_seed(5)
    stack = tt.GRU(INPUT, 5, num_layers=2, dtype=torch.float64)
    x = torch.randn(T, B, INPUT, dtype=torch.float64)
    loss = flossing_loss(stack, x, count=3, depth=1)
    expected = lyapunov_exponents(stack, x, count=3, depth=1).exponents
    assert loss.item() == pytest.approx(sum(exponent**2 for exponent in expected), rel=1e-9)
    loss.backward()
    assert all(value.grad is not None and bool(value.grad.any()) for value in stack.parameters())


def test_a_direction_that_is_lost_is_refused():
    relu = tt.RNN(INPUT, 6, nonlinearity="relu", dtype=torch.float64)
    with torch.no_grad():
        relu.bias_ih_l0.fill_(3.0)
        relu.bias_ih_l0[2:4] = -100.0
    x = torch.randn(T, 2, INPUT, dtype=torch.float64)
    with pytest.raises(ArgumentError, match="count is 6, but direction 5 is lost at step 0 of row 0.*at most 4"):
        flossing_loss(relu, x, count=6)
    loss = flossing_loss(relu, x, count=4)
    loss.backward()
    assert bool(relu.weight_hh_l0.grad.isfinite().all()) and bool(relu.weight_hh_l0.grad.any())


def test_an_lstm_without_recurrent_weights_has_a_gradient_in_what_it_keeps():
    lstm = tt.LSTM(INPUT, 3, dtype=torch.float64)
    with torch.no_grad():
        lstm.weight_hh_l0.zero_()
    x = torch.randn(T, 2, INPUT, dtype=torch.float64)
    flossing_loss(lstm, x, count=3).backward()
    assert all(bool(value.grad.isfinite().all()) for value in lstm.parameters())
    with pytest.raises(ArgumentError, match="at most 3"):
        flossing_loss(lstm, x, count=4)


def _lags_of(rnn: tt.RNN, x: torch.Tensor, level: float) -> int:
    """At how many lags the gradient of a loss at the last step has at least this share of its norm."""
    with tt.tap(rnn) as record:
        rnn(x)[0][-1].sum().backward()
    norms = record.layers["l0"].norms["h"].mean(1).flip(0)
    return int((norms >= level * norms[0]).sum())


def test_flossing_lets_a_vanishing_gradient_reach_further():
    """A random network with gain 0.5: its gradient is at 1 % after 6 steps or so, and after flossing much later."""
    rnn = tt.RNN(INPUT, 16, dtype=torch.float64)
    with torch.no_grad():
        rnn.weight_hh_l0.copy_(0.5 * torch.randn(16, 16, dtype=torch.float64) / 4)
    x, unseen = (torch.randn(steps, 2, INPUT, dtype=torch.float64) for steps in (50, 400))
    before, lags = lyapunov_exponents(rnn, unseen, count=6).exponents, _lags_of(rnn, unseen, 0.01)
    losses = floss(rnn, x, count=4, steps=60, learning_rate=0.02)
    after = lyapunov_exponents(rnn, unseen, count=6).exponents
    assert len(losses) == 60 and losses[-1] < 1e-2 * losses[0]
    assert before[0] < -0.4 and all(abs(exponent) < 0.1 for exponent in after[:4])
    assert after[4] < -0.4, "only what is asked for is pushed"
    assert _lags_of(rnn, unseen, 0.01) > 10 * lags


def test_flossing_leaves_gradients_and_frozen_parameters_as_they_are():
    rnn = tt.RNN(INPUT, 4, dtype=torch.float64)
    rnn.bias_ih_l0.requires_grad_(False)
    rnn.weight_hh_l0.grad = torch.ones(4, 4, dtype=torch.float64)
    before = {name: value.detach().clone() for name, value in rnn.named_parameters()}
    floss(rnn, torch.randn(T, B, INPUT, dtype=torch.float64), count=2, steps=2)
    assert torch.equal(rnn.weight_hh_l0.grad, torch.ones(4, 4)) and rnn.weight_ih_l0.grad is None
    changed = {name for name, value in rnn.named_parameters() if not torch.equal(value, before[name])}
    assert changed == {"weight_ih_l0", "weight_hh_l0", "bias_hh_l0"}


def test_float32_stays_float32():
    rnn = tt.LSTM(INPUT, 4)
    x = torch.randn(T, B, INPUT)
    assert flossing_loss(rnn, x, count=2).dtype == torch.float32
    assert floss(rnn, x, count=2, steps=1)[0] > 0 and math.isfinite(rnn.weight_hh_l0.sum().item())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 6}, "count is 6; the state has 5 entries"),
        ({"steps": 0}, "steps is 0"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0; it must be a positive finite number"),
        ({"learning_rate": "0.1"}, "learning_rate is '0.1'"),
        ({"learning_rate": math.nan}, "learning_rate is nan"),
        ({"layer": torch.nn.GRU(INPUT, 5)}, "layer is a GRU; it must be a throughtime.RNN"),
        ({"layer": tt.GRU(INPUT, 5).requires_grad_(False)}, "layer has no parameter that requires a gradient"),
        ({"x": torch.randn(0, 2, INPUT)}, "x has no step whose state comes from an earlier state"),
    ],
)
def test_what_cannot_be_flossed_is_refused(arguments, message):
    given = {"layer": tt.GRU(INPUT, 5), "x": torch.randn(T, B, INPUT), "count": 2}
    with pytest.raises(ArgumentError, match=message):
        floss(**(given | arguments))


def test_a_layer_is_flossed_where_no_gradients_are_taken_otherwise():
    rnn, x = tt.RNN(3, 5, dtype=torch.float64), torch.randn(20, 2, 3, dtype=torch.float64)
    with torch.no_grad():
        losses = tt.floss(rnn, x, count=2, steps=3)
    assert losses[2] < losses[0]


def test_where_all_is_lost_at_once_no_count_is_recommended():
    rnn = tt.RNN(3, 5)
    torch.nn.init.zeros_(rnn.weight_hh_l0)
    with pytest.raises(ArgumentError, match="direction 1 is lost at step 0 .* start from weights that keep"):
        tt.floss(rnn, torch.randn(20, 2, 3), count=1)
