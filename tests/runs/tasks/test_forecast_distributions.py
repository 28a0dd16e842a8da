"""Distributions of forecasts against torch's own."""

import math

import pytest
import torch
from torch.distributions import Normal, Poisson, StudentT

from throughtime.runs.tasks.forecast_distributions import GRID, KINDS, quantile_losses

LEVELS = (0.1, 0.5, 0.9)


@pytest.fixture
def outputs():
    return torch.randn(7, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2


def _spread(outputs):
    return torch.nn.functional.softplus(outputs[:, 1]) + 1e-4


@pytest.mark.parametrize(("name", "theirs"), [("normal", Normal), ("student-t", lambda m, s: StudentT(4.0, m, s))])
def test_a_likelihood_is_that_of_torch_and_quantiles_are_where_its_function_reaches_the_level(name, theirs, outputs):
    ours, scales = KINDS[name](LEVELS), torch.ones(7, dtype=torch.float64)
    targets = torch.linspace(-3, 4, 7, dtype=torch.float64)
    distribution = theirs(outputs[:, 0], _spread(outputs))
    torch.testing.assert_close(ours.losses(outputs, targets, scales), -distribution.log_prob(targets))
    quantiles = ours.quantiles(outputs, LEVELS, scales)
    torch.testing.assert_close(quantiles[:, 1], outputs[:, 0])
    steps = torch.linspace(0, 1, 40001, dtype=torch.float64)
    for row in range(7):
        for at, level in ((0, 0.1), (2, 0.9)):
            # From the median to the quantile, by the trapezoid rule.
            grid = outputs[row, 0] + (quantiles[row, at] - outputs[row, 0]) * steps
            one_of_seven = theirs(outputs[row, 0], _spread(outputs)[row])
            mass = torch.trapezoid(one_of_seven.log_prob(grid).exp(), grid)
            assert float(mass) == pytest.approx(level - 0.5, abs=1e-7)


@pytest.mark.parametrize("rate", [0.01, 0.7, 3.0, 250.0, 1e6])
def test_quantiles_of_counts_are_the_least_that_reach_the_level(rate):
    kind, scale = KINDS["poisson"](LEVELS), torch.tensor([rate / 2], dtype=torch.float64)
    outputs = torch.tensor([[math.log(math.expm1(2 - 1e-4))]], dtype=torch.float64)  # so that the scaled rate is 2
    counts = kind.quantiles(outputs, LEVELS, scale)[0] * scale
    for count, level in zip(counts.tolist(), LEVELS, strict=True):
        assert count == pytest.approx(round(count))
        reached = [float(torch.special.gammaincc(torch.tensor(k + 1.0).double(), torch.tensor(rate).double()))
                   if k >= 0 else 0.0 for k in (round(count) - 1, round(count))]  # fmt: skip
        assert reached[0] < level <= reached[1]
    targets = torch.tensor([3.0], dtype=torch.float64) / scale
    torch.testing.assert_close(
        kind.losses(outputs, targets, scale), -Poisson(torch.tensor([rate]).double()).log_prob(torch.tensor([3.0]))
    )


def test_quantiles_do_not_cross_and_their_losses_make_the_crps(outputs):
    kind = KINDS["quantiles"](LEVELS)
    drawn = torch.randn(5, kind.size, generator=torch.Generator().manual_seed(1))
    quantiles = kind.quantiles(drawn, (*LEVELS,), torch.ones(5))
    assert bool((quantiles.diff(dim=-1) >= 0).all())
    # The CRPS of a normal distribution has a closed form (Gneiting and Raftery 2007).
    normal, targets = KINDS["normal"](LEVELS), torch.linspace(-3, 4, 7, dtype=torch.float64)
    crps = quantile_losses(normal.quantiles(outputs, GRID, torch.ones(7)), targets, GRID).mean(dim=-1)
    away = (targets - outputs[:, 0]) / _spread(outputs)
    unit = Normal(torch.zeros(7).double(), 1.0)
    exact = away * (2 * unit.cdf(away) - 1) + 2 * unit.log_prob(away).exp() - 1 / math.sqrt(math.pi)
    torch.testing.assert_close(crps, _spread(outputs) * exact, rtol=0.05, atol=0.02)


def test_a_point_forecast_has_its_absolute_error_as_crps():
    losses = quantile_losses(torch.full((1, len(GRID)), 2.0), torch.tensor([5.0]), GRID)
    assert float(losses.mean()) == pytest.approx(3.0)
