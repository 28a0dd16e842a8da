import math

import pytest
import torch
from torch.nn.functional import mse_loss

import throughtime as tt
from throughtime.diagnosis import horizons
from throughtime.diagnosis.horizons import DRAWS, horizons_of, stays_below
from throughtime.diagnosis.lag_curves import Profiles

NAN, INF = float("nan"), float("inf")


def _profiles(ratios: torch.Tensor, rows: list[int]) -> Profiles:
    return Profiles(ratios.double(), torch.ones(len(ratios)).double(), torch.tensor(rows))


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


@pytest.mark.parametrize("weight", [0.9, -0.8])
def test_a_linear_recurrence_has_its_horizons_in_closed_form(weight):
    rnn = tt.RNN(1, 1, nonlinearity="identity", dtype=torch.float64)
    with torch.no_grad():
        rnn.weight_hh_l0.fill_(weight)
    x, y = torch.randn(2, 91, 3, 1, dtype=torch.float64).unbind(0)
    for one, level in zip(tt.gradient_flow(rnn, mse_loss, x, y).horizon["l0"], (1 / math.e, 0.01), strict=True):
        exact = math.log(level) / math.log(abs(weight))  # 9.4912 and 43.709 for 0.9
        assert (one.level, one.observed) == (level, 90)
        assert [one.lag, one.low, one.high] == pytest.approx([exact] * 3, rel=1e-9)


def test_a_gradient_that_does_not_fall_has_no_horizon_within_what_was_seen():
    rnn = tt.RNN(1, 1, nonlinearity="identity", dtype=torch.float64)
    with torch.no_grad():
        rnn.weight_hh_l0.fill_(1.01)
    x, y = torch.randn(2, 31, 3, 1, dtype=torch.float64).unbind(0)
    for one in tt.gradient_flow(rnn, mse_loss, x, y).horizon["l0"]:
        assert (one.lag, one.low, one.high, one.observed) == (INF, INF, INF, 30)


@pytest.mark.parametrize(
    ("curve", "level", "lag"),
    [
        ([1, 0.5, 0.25, 0.125], 0.3, 1 + math.log(0.5 / 0.3) / math.log(2)),
        ([1, 0.1, 0.5, 0.1], 0.3, 2 + math.log(0.5 / 0.3) / math.log(5)),  # from which on it stays below
        ([1, 0.1, 3, 0.5], 0.3, INF),
        ([1, 0.3, 0.1, 0.05], 0.3, 1.0),
        ([1, 0.5, 0.4, 0.3], 0.3, INF),
        ([1, 0.1, NAN, NAN], 0.3, math.log(1 / 0.3) / math.log(10)),
        ([1, 0.5, NAN, NAN], 0.3, INF),
        ([1, NAN, NAN, NAN], 0.3, INF),
    ],
)
def test_the_lag_from_which_on_a_curve_stays_below_a_level(curve, level, lag):
    assert stays_below(torch.tensor([curve], dtype=torch.float64), level).item() == pytest.approx(lag, rel=1e-12)


def test_a_curve_that_ends_at_zero_crosses_every_level_before():
    lag = stays_below(torch.tensor([[1.0, 0.5, 0.0, 0.0]], dtype=torch.float64), 0.3).item()
    assert 1 < lag < 1.01


def test_the_interval_is_what_other_rows_might_have_given():
    """Rows that decay by 0.9, 0.91 … a step: the interval holds the median row's lag, and most of the rows' spread."""
    decays = torch.linspace(0.80, 0.95, 31).double()
    ratios = decays.repeat_interleave(2)[:, None] ** torch.arange(200)
    (one, _) = horizons_of(_profiles(ratios, [i // 2 for i in range(62)]), _generator())
    exact = -1 / math.log(0.875)
    assert one.lag == pytest.approx(exact, rel=1e-2)
    assert 0.75 * exact < one.low < 0.95 * exact < 1.05 * exact < one.high < 1.4 * exact


def test_samples_of_a_row_are_drawn_together():
    """Two rows with many samples each: a draw has the one, the other, or both, never a mixture of their samples."""
    ratios = torch.cat((torch.full((50, 1), 0.5), torch.full((50, 1), 0.9))).double() ** torch.arange(300)
    (one, _) = horizons_of(_profiles(ratios, [0] * 50 + [1] * 50), _generator())
    assert one.low == pytest.approx(-1 / math.log(0.5)) and one.high == pytest.approx(-1 / math.log(0.9))


def test_with_one_row_its_samples_are_drawn():
    ratios = torch.linspace(0.5, 0.9, 20).double()[:, None] ** torch.arange(300)
    (one, _) = horizons_of(_profiles(ratios, [3] * 20), _generator())
    assert one.low < 0.95 * one.lag < 1.05 * one.lag < one.high


def test_one_step_has_no_horizon():
    rnn = tt.GRU(2, 3)
    flow = tt.gradient_flow(rnn, mse_loss, torch.randn(1, 4, 2), torch.randn(1, 4, 3))
    assert flow.by_lag["l0"].mean == [1.0] and flow.by_lag["l0"].samples == [4]
    assert [(one.lag, one.observed) for one in flow.horizon["l0"]] == [(INF, 0), (INF, 0)]
    assert flow.jacobian_norms["l0"].gain == [[pytest.approx(1.0)]] and flow.record.wanted_lag == 1


def test_the_interval_leaves_as_many_draws_below_as_above(monkeypatch):
    """Draws whose curves e^(-k / lag) have the horizons 1, 2, …, 200."""
    lags = torch.randperm(DRAWS, generator=_generator()) + 1.0
    drawn = [torch.exp(-torch.arange(250.0) / lag)[None].double() for lag in lags]
    monkeypatch.setattr(horizons, "_drawn", lambda profiles, generator: drawn)
    found = horizons_of(_profiles(torch.exp(-torch.arange(250.0) / 7)[None], [0]), _generator())[0]
    assert (found.lag, found.low, found.high) == pytest.approx((7, 11, 190), rel=1e-5)
