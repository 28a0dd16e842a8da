"""The Elman layer beyond what torch.nn.RNN has; the rest is tests/contracts/test_torch_parity.py."""

import pytest
import torch
from layers.comparison import EXACT, assert_near, evaluate, filled, normal
from oracles import unrolled

import throughtime as tt
from throughtime.errors import ArgumentError, UnsupportedError

T, B, INPUT, HIDDEN = 7, 5, 3, 9


@pytest.mark.parametrize("lengths", [None, [3, 7, 0, 1, 5]], ids=["full", "lengths"])
def test_the_identity_is_the_linear_recurrence(lengths):
    rnn = filled(tt.RNN(INPUT, HIDDEN, nonlinearity="identity", dtype=torch.float64), seed=2)

    def linear_loop(rnn, x, hx, lengths):
        def step(row, state):
            bias = rnn.bias_ih_l0 + rnn.bias_hh_l0
            return (row @ rnn.weight_ih_l0.T + state[0] @ rnn.weight_hh_l0.T + bias,)

        y, (final,), _ = unrolled(step, x, (hx[0][0],), (torch.zeros_like(hx[0][0]),), lengths)
        return {"outputs": y, "final state 0": final[None]}

    x, hx = normal(1, T, B, INPUT), (normal(2, 1, B, HIDDEN),)
    expected = evaluate(rnn, x, hx, forward=linear_loop, lengths=lengths)
    assert_near(evaluate(rnn, x, hx, lengths=lengths), expected, EXACT)


def test_the_identity_is_the_closed_form():
    """h_T = W^T h_0 + Σ_i W^{T-i} (W_ih x_i + b): [Y], solved."""
    rnn = filled(tt.RNN(INPUT, HIDDEN, nonlinearity="identity", dtype=torch.float64), seed=2)
    x, h_0 = normal(1, T, B, INPUT), normal(2, 1, B, HIDDEN)
    power = torch.linalg.matrix_power
    driven = x @ rnn.weight_ih_l0.T + rnn.bias_ih_l0 + rnn.bias_hh_l0
    expected = h_0[0] @ power(rnn.weight_hh_l0, T).T
    for i in range(T):
        expected = expected + driven[i] @ power(rnn.weight_hh_l0, T - 1 - i).T
    assert_near({"h": rnn(x, h_0)[1][0]}, {"h": expected}, EXACT)


def test_the_identity_has_no_twin():
    with pytest.raises(UnsupportedError, match=r"nonlinearity='identity' .*torch.nn.RNN"):
        tt.RNN(INPUT, HIDDEN, nonlinearity="identity").to_torch()


@pytest.mark.parametrize("name", ["sigmoid", "Tanh", "", None, ["tanh"]])
def test_an_unknown_nonlinearity_is_refused(name):
    with pytest.raises(ArgumentError, match=r"nonlinearity is .*; it must be 'tanh', 'relu' or 'identity'.*Recurrent"):
        tt.RNN(INPUT, HIDDEN, nonlinearity=name)


def test_a_nan_is_not_lost_in_relu():
    rnn = filled(tt.RNN(INPUT, HIDDEN, nonlinearity="relu", dtype=torch.float64), seed=2)
    x = normal(1, T, B, INPUT)
    x[3, 1, 0] = float("nan")
    y = rnn(x)[0]
    assert y[3:, 1].isnan().all() and y[:3].isfinite().all() and y[:, 2:].isfinite().all()
    y.sum().backward()
    assert rnn.weight_hh_l0.grad.isnan().any()
