"""What only the LSTM has: a projection, and a state of two members."""

import pytest
import torch
from layers.comparison import EXACT, assert_near, call, evaluate, filled, normal

import throughtime as tt
from throughtime.errors import ArgumentError

T, B, INPUT, HIDDEN = 7, 5, 3, 9


@pytest.mark.parametrize("size", [9, 10])
def test_a_projection_that_makes_nothing_smaller_is_refused(size):
    with pytest.raises(ArgumentError, match=rf"proj_size is {size}; it must be 0 .*hidden_size = 9"):
        tt.LSTM(INPUT, HIDDEN, proj_size=size)


@pytest.mark.parametrize("size", [-1, 2.0, "2", None])
def test_a_projection_that_is_no_size_is_refused(size):
    with pytest.raises(ArgumentError, match=r"proj_size is .*; it must be a whole number, at least 0"):
        tt.LSTM(INPUT, HIDDEN, proj_size=size)


def test_no_projection_leaves_no_weight():
    assert not [name for name in tt.LSTM(INPUT, HIDDEN, proj_size=0).state_dict() if "hr" in name]


def test_a_projection_that_takes_the_first_units_is_an_lstm_with_its_other_outputs_unread():
    """W_hr = [1 0]: h_t are the first units of u_t, and the rest of W_hh h_{t-1} is gone."""
    plain = filled(tt.LSTM(INPUT, HIDDEN, dtype=torch.float64), seed=2)
    projected = tt.LSTM(INPUT, HIDDEN, proj_size=4, dtype=torch.float64)
    values = dict(plain.state_dict())
    values["weight_hh_l0"] = values["weight_hh_l0"][:, :4].clone()
    values["weight_hr_l0"] = torch.eye(HIDDEN, dtype=torch.float64)[:4]
    projected.load_state_dict(values)
    with torch.no_grad():
        plain.weight_hh_l0[:, 4:] = 0
    x = normal(1, T, B, INPUT)
    y, (h, c) = plain(x)
    expected = {"outputs": y[..., :4], "final state 0": h[..., :4], "final state 1": c}
    assert_near(call(projected, x, None), expected, EXACT)


def test_forget_gates_held_open_carry_the_gradient_of_c_unchanged():
    """[T]: with f = 1 and i = 0 the cell's memory neither changes nor fades, whatever the number of steps."""
    lstm = filled(tt.LSTM(INPUT, HIDDEN, dtype=torch.float64), seed=2, scale=0.01)
    with torch.no_grad():
        lstm.bias_ih_l0[:HIDDEN] = -1e3
        lstm.bias_ih_l0[HIDDEN : 2 * HIDDEN] = 1e3
    c = normal(3, 1, B, HIDDEN).requires_grad_()
    _, (_, final) = lstm(normal(1, 50, B, INPUT), (normal(2, 1, B, HIDDEN), c))
    weights = normal(4, 1, B, HIDDEN)
    assert torch.equal(final, c)
    assert torch.equal(torch.autograd.grad(final, c, weights)[0], weights)


@pytest.mark.parametrize("hx", [torch.zeros(1, B, HIDDEN), (torch.zeros(1, B, HIDDEN),), [], 7, "hc"])
def test_a_state_without_its_two_members_is_refused(hx):
    with pytest.raises(ArgumentError, match=rf"hx is a {type(hx).__name__}; it must be a tuple of tensors \(h, c\)"):
        tt.LSTM(INPUT, HIDDEN)(torch.zeros(T, B, INPUT), hx)


def test_a_state_in_a_list_is_a_state():
    lstm, x = filled(tt.LSTM(INPUT, HIDDEN, dtype=torch.float64), seed=2), normal(1, T, B, INPUT)
    hx = (normal(2, 1, B, HIDDEN), normal(3, 1, B, HIDDEN))
    assert torch.equal(lstm(x, list(hx))[0], lstm(x, hx)[0])


def test_h_and_c_are_not_confused():
    lstm, x = filled(tt.LSTM(INPUT, HIDDEN, dtype=torch.float64), seed=2), normal(1, T, B, INPUT)
    h, c = normal(2, 1, B, HIDDEN), normal(3, 1, B, HIDDEN)
    results = evaluate(lstm, x, (h, c))
    swapped = evaluate(lstm, x, (c, h))
    assert not torch.allclose(results["outputs"], swapped["outputs"])
    assert torch.equal(results["outputs"][-1], results["final state 0"][0])
    with pytest.raises(ArgumentError, match=r"hx has \(1, 5, 9\) for c; it must be a tensor \(1, 5, 10\)"):
        tt.LSTM(INPUT, 10, proj_size=HIDDEN)(x.float(), (h.float(), c.float()))
