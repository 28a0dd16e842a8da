import math

import pytest
import torch
from diagnosis.plain_loops import INPUT, B, H, Model, T, data, every_step, layer, resets
from oracles import relative
from torch import nn

import throughtime as tt
from throughtime.diagnosis import shares
from throughtime.diagnosis.capture import capture
from throughtime.diagnosis.shares import affordable, shares_of
from throughtime.models import lags

LENGTHS = [6, 0, T, 1]


def _captured(kind: str = "LSTM", **how):
    model, (x, weights) = Model(layer(kind, num_layers=2) if kind != "function" else layer(kind), **how), data(H)
    return model, capture(model, every_step, x, weights), (x, weights)


@pytest.mark.parametrize("how", [{}, {"lengths": LENGTHS}, {"resets": resets()}], ids=["full", "lengths", "resets"])
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU", "function"])
def test_the_parts_of_all_lags_are_the_gradient(kind, how):
    model, captured, (x, weights) = _captured(kind, **how)
    every_step(model(x)[0], weights).backward()
    for name, run in captured.runs.items():
        found = shares_of(run)
        bands = [range(one.start, one.stop) for one in found]
        assert bands == [range(0, 1), range(1, 2), range(2, 4), range(4, 8), range(8, T)]
        parts = lags.exact_by_lag(run, bands)
        norms = [math.hypot(*(g.norm().item() for g in part.values())) for part in parts]
        assert [one.norm for one in found] == pytest.approx(norms, rel=1e-9)
        for own in run.parameters:
            whole = model.rnn.get_parameter(f"{own}_{name.removeprefix('rnn.')}").grad
            assert relative(sum(part[own] for part in parts), whole) <= 1e-12


@pytest.mark.parametrize("scale", [2.0**-1000, 2.0**1000])
def test_a_loss_whose_gradients_have_no_squares_has_its_shares_in_proportion(scale):
    model, (x, weights) = Model(layer("LSTM")), data(H)
    usual, scaled = (
        tt.gradient_flow(model, lambda y, w, s=s: s * every_step(y, w), x, weights, parts=["shares"]).record.layers[0]
        for s in (1.0, scale)
    )
    assert [one.norm / scale for one in scaled.shares] == pytest.approx([one.norm for one in usual.shares], rel=1e-9)


def test_lags_of_a_linear_recurrence_add_in_closed_form():
    """L = h_T of h_t = w h_{t-1} + x_t with x_1 = 1 alone: ∂L/∂w_ih is w^{T-1}, by way of the lag T - 1."""
    rnn = tt.RNN(1, 1, nonlinearity="identity", bias=False, dtype=torch.float64)
    with torch.no_grad():
        rnn.weight_hh_l0.fill_(0.5), rnn.weight_ih_l0.fill_(1.0)
    x = torch.zeros(9, 1, 1, dtype=torch.float64)
    x[0] = 1
    flow = tt.gradient_flow(rnn, lambda y, _: y[-1].sum(), x, None)
    found = {one.start: one.norm for one in flow.record.layers[0].shares}
    # ∂/∂w_hh at lag k is w^k h_{T-1-k} = w^k w^{T-2-k}, one for each of the lags 0 … T - 2.
    assert found == pytest.approx({0: 0.5**7, 1: 0.5**7, 2: 2 * 0.5**7, 4: 4 * 0.5**7, 8: 0.5**8}, rel=1e-12)


def test_where_all_is_too_dear_the_longest_rows_are_taken():
    _, captured, _ = _captured("RNN", lengths=LENGTHS, resets=resets())
    run = captured.runs["rnn.l0"]
    weights = sum(value.numel() for value in run.parameters.values())
    two = affordable(run, 2 * T**2 * weights)
    assert two.sequence.shape == (T, 2) and two.sequence.lengths.tolist() == [T, 6]
    assert torch.equal(two.direct[0], run.direct[0][:, [2, 0]]) and torch.equal(
        two.sequence.x, run.sequence.x[:, [2, 0]]
    )
    assert torch.equal(two.sequence.resets, run.sequence.resets[:, [2, 0]])
    assert affordable(run, B * T**2 * weights) is run


def test_where_one_row_is_too_dear_its_last_steps_are_taken(monkeypatch):
    """The exact gradient of the losses of these steps by way of these steps: that of torch.nn run over them alone."""
    _, captured, _ = _captured("LSTM", lengths=[6, 0, T - 2, 1])
    run = captured.runs["rnn.l1"]
    budget = 16 * sum(value.numel() for value in run.parameters.values())
    rnn = nn.LSTM(H, H, dtype=torch.float64)
    for name, value in run.parameters.items():
        rnn.get_parameter(f"{name}_l0").data.copy_(value)
    last = slice(T - 6, T - 2)
    y, (_, c) = rnn(run.sequence.x[last, 2], tuple(member[T - 6, 2][None] for member in run.entering))
    own = (y * run.direct[0][last, 2]).sum() + (c * run.direct[1][T - 3, 2]).sum()
    expected = torch.autograd.grad(own, list(rnn.parameters()))
    (parts,) = lags.exact_by_lag(affordable(run, budget), [range(0, T)])
    for (name, _), gradient in zip(rnn.named_parameters(), expected, strict=True):
        assert relative(parts[name.removesuffix("_l0")], gradient) <= 1e-12
    monkeypatch.setattr(shares, "BUDGET", budget)
    assert [one.start for one in shares_of(run)] == [0, 1, 2, 4]


def test_it_ends_where_nothing_above_rounding_reaches_further(monkeypatch):
    rnn = tt.RNN(INPUT, H, nonlinearity="identity")
    with torch.no_grad():
        rnn.weight_hh_l0.copy_(1e-3 * torch.eye(H))
    taken = []
    earlier = lags.Steps.one_step_earlier
    monkeypatch.setattr(lags.Steps, "one_step_earlier", lambda *given: taken.append(1) or earlier(*given))
    flow = tt.gradient_flow(rnn, lambda y, _: y.sum(), torch.randn(40, 2, INPUT), None, parts=["shares"])
    assert len(taken) == 3  # 1e-9 of the loss's gradient is below rounding in float32
    norms = [one.norm for one in flow.record.layers[0].shares]
    assert all(norm > 0 for norm in norms[:3]) and norms[3:] == [0.0] * 4
