import numpy as np
import pytest
import torch
from diagnosis.plain_loops import INPUT, B, H, Model, T, curve, data, every_step, final_state, layer, profiles, resets
from layers.comparison import normal

import throughtime as tt
from throughtime.diagnosis.capture import capture
from throughtime.diagnosis.lag_curves import profiles_of, quantiles_by_lag

LENGTHS = [T, 0, 1, 6]

CASES = {
    "RNN": ("RNN", {}, {}),
    "GRU": ("GRU", {}, {}),
    "LSTM": ("LSTM", {}, {}),
    "function": ("function", {}, {}),
    "function-both-ways": ("function", {"bidirectional": True}, {"lengths": LENGTHS}),
    "stack": ("RNN", {"num_layers": 2}, {}),
    "stack-LSTM": ("LSTM", {"num_layers": 3}, {"lengths": LENGTHS}),
    "both-ways": ("GRU", {"num_layers": 2, "bidirectional": True}, {}),
    "both-ways-lengths-resets": (
        "LSTM",
        {"num_layers": 2, "bidirectional": True},
        {"lengths": LENGTHS, "resets": True},
    ),
    "lengths": ("GRU", {}, {"lengths": LENGTHS}),
    "resets": ("RNN", {"num_layers": 2}, {"resets": True}),
    "batch-first": ("RNN", {"batch_first": True}, {"lengths": LENGTHS, "resets": True}),
    "unbatched": ("LSTM", {}, {"form": "unbatched"}),
    "packed": ("GRU", {"num_layers": 2, "bidirectional": True}, {"form": "packed", "lengths": [3, T, 1, 6]}),
}


def _assert_same(found, expected):
    assert found.samples == expected["samples"].tolist()
    assert found.norm == pytest.approx(expected["norm"], rel=1e-9)
    np.testing.assert_allclose(found.mean, expected["mean"], rtol=1e-9)
    assert list(found.quantiles) == list(expected["quantiles"])
    for level, values in expected["quantiles"].items():
        np.testing.assert_allclose(found.quantiles[level], values, rtol=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_the_gradient_by_lag_is_that_of_the_loss_of_each_step_by_brute_force(case):
    kind, options, how = CASES[case]
    how = how | ({"resets": resets()} if "resets" in how else {})
    rnn = layer(kind, **options)
    x, weights = data(H * (1 + rnn.bidirectional))
    if how.get("form") == "unbatched":
        x = x[:, :1]
    flow = tt.gradient_flow(Model(rnn, **how), every_step, x, weights, parts=["lags"], samples=10**6)
    masks = {key: value for key, value in how.items() if key != "form"}
    expected = profiles(kind, rnn, x, weights, every_step, **masks)
    assert [f"rnn.{name}" for name in expected] == list(flow.by_lag)
    for name, samples in expected.items():
        _assert_same(flow.by_lag[f"rnn.{name}"], curve(samples))


@pytest.mark.parametrize("form", ["", "unbatched", "packed"])
@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
def test_a_loss_of_the_final_state_enters_at_the_last_step_of_each_direction(kind, form):
    lengths = [3, T, 1, 6] if form == "packed" else None
    rnn = layer(kind, num_layers=2, bidirectional=True)
    x, weights = data(2 * H)
    x = x[:, :1] if form == "unbatched" else x
    lasts = lengths or [T] * x.shape[1]
    flow = tt.gradient_flow(Model(rnn, form, lengths), final_state, x, weights, parts=["lags"])
    expected = profiles(kind, rnn, x, weights, final_state, lengths)
    for name, samples in expected.items():
        # Of the steps that reach back far enough these are the only ones at which a final state leaves some direction.
        _assert_same(flow.by_lag[f"rnn.{name}"], curve(samples, lambda t, row: t == lasts[row] - 1))


def test_a_layer_that_no_loss_reaches_has_no_curve():
    rnn = layer("RNN", bidirectional=True)
    x, weights = data(H)
    flow = tt.gradient_flow(rnn, lambda y, w: (w * y[..., :H]).sum(), x, weights)
    forwards, backwards = flow.record.layers
    assert forwards.by_lag is not None and len(forwards.horizons) == 2
    assert backwards.by_lag is None and backwards.horizons == [] and backwards.by_step == [0.0] * T
    assert all(share.norm == 0 for share in backwards.shares) and backwards.gains is not None


def test_samples_are_spread_over_the_later_half_and_have_the_last_step_among_them():
    rnn = layer("RNN")
    x, weights = normal(1, 200, B, INPUT), normal(2, 200, B, H)
    curve_of = tt.gradient_flow(rnn, lambda y, w: (w * y).sum(), x, weights, parts=["lags"], samples=40).by_lag["l0"]
    assert curve_of.samples[:100] == [40] * 100  # ten of each row, from step 100 on
    assert curve_of.samples[199] == B and len(curve_of.mean) == 200
    assert curve_of.samples[120] == pytest.approx(32, abs=4)


def test_a_seed_gives_the_same_samples_again():
    rnn = layer("RNN")
    x, weights = normal(1, 90, B, INPUT), normal(2, 90, B, H)
    one, same, other = (
        tt.gradient_flow(rnn, lambda y, w: (w * y).sum(), x, weights, seed=seed, samples=8) for seed in (4, 4, 5)
    )
    assert one.by_lag == same.by_lag and one.horizon == same.horizon and one.jacobian_norms == same.jacobian_norms
    assert one.by_lag != other.by_lag


def test_a_gradient_that_overflows_on_its_way_back_is_seen_until_there():
    rnn = tt.RNN(1, 1, nonlinearity="identity", bias=False)
    with torch.no_grad():
        rnn.weight_hh_l0.fill_(10.0)
    flow = tt.gradient_flow(rnn, lambda y, _: y[-1].sum(), torch.zeros(60, 2, 1), None)
    curve_of = flow.by_lag["l0"]
    assert len(curve_of.mean) == 39  # 1e38 is a number in float32, 1e39 is none
    assert curve_of.quantiles["0.5"] == pytest.approx([10.0**k for k in range(39)], rel=1e-5)
    assert str(flow.record.nonfinite.source) == "gradient" and flow.record.nonfinite.step == 59 - 39


def test_with_more_rows_than_samples_one_step_of_some_of_the_rows_is_taken():
    rnn = layer("RNN")
    x, weights = normal(1, 60, 9, INPUT), normal(2, 60, 9, H)
    (one,) = capture(rnn, lambda y, w: (w * y).sum(), x, weights).layers
    found = profiles_of(one, 6, torch.Generator().manual_seed(0))["l0"]
    assert found.rows.tolist() == [0, 1, 3, 4, 6, 7]
    reaches = (~found.ratios.isnan()).sum(1) - 1
    assert len(reaches.unique()) > 2 and 30 <= reaches.min() and reaches.max() <= 59


def test_many_samples_have_their_quantiles_in_parts():
    ratios = normal(3, 20, 31)
    ratios[5:, 20:] = float("nan")
    whole = quantiles_by_lag(ratios, (0.05, 0.5))
    expected = np.nanquantile(ratios.numpy(), (0.05, 0.5), axis=0)
    np.testing.assert_allclose(whole, expected, rtol=1e-12)
    many = torch.linspace(0, 1, 2**18 + 1).double()[:, None] + torch.arange(80)  # 20 million; torch takes 16
    np.testing.assert_allclose(quantiles_by_lag(many, (0.5,))[0], 0.5 + np.arange(80), rtol=1e-12)
