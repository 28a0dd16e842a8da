import math

import pytest
import torch

from throughtime.diagnosis.batch_means import mean_with_error


def _correlated(steps: int, rows: int, memory: float) -> torch.Tensor:
    """z_t = memory · z_{t-1} + noise, stationary, with variance 1: [steps, rows, 1]."""
    noise = torch.randn(steps, rows, dtype=torch.float64) * math.sqrt(1 - memory**2)
    steps_of = [noise[0] / math.sqrt(1 - memory**2)]
    for one in noise[1:]:
        steps_of.append(memory * steps_of[-1] + one)
    return torch.stack(steps_of)[..., None]


def _all(samples: torch.Tensor) -> torch.Tensor:
    return torch.ones(samples.shape[:2], dtype=torch.bool)


@pytest.mark.parametrize("rows", [1, 3])
def test_the_error_respects_that_neighbouring_steps_are_alike(rows):
    """The variance of the mean of n such steps is (1 + memory) / (1 - memory) / n: here 9 times that of noise."""
    samples = _correlated(9000 // rows, 15 * rows, 0.8).split(rows, dim=1)
    errors = [mean_with_error(one, _all(one))[1].item() for one in samples]
    expected = math.sqrt(9 / 9000)
    assert sum(errors) / 15 == pytest.approx(expected, rel=0.25)


def test_the_mean_is_over_all_counted_steps_and_nothing_else_matters():
    samples, counted = torch.randn(40, 3, 2, dtype=torch.float64), torch.zeros(40, 3, dtype=torch.bool)
    counted[5:40, 0] = counted[2:19, 2] = True
    samples[~counted] = math.nan
    mean, error = mean_with_error(samples, counted)
    expected = torch.cat((samples[5:40, 0], samples[2:19, 2])).mean(0)
    assert torch.allclose(mean, expected, rtol=1e-14) and bool(error.isfinite().all())


def test_rows_that_differ_for_good_show_in_the_error():
    """Nothing changes in time; only the rows say that the mean is uncertain."""
    samples = torch.tensor([1.0, 2.0, 6.0], dtype=torch.float64).expand(25, 3)[..., None]
    mean, error = mean_with_error(samples, _all(samples))
    assert mean.item() == 3.0
    assert error.item() == pytest.approx(torch.tensor([1.0, 2.0, 6.0]).std().item() / math.sqrt(3), rel=1e-6)


def test_rows_too_short_for_batches_do_not_make_the_error_smaller():
    """One row of 64 steps and five of 12 that are alike: what is known of the changes in time is the long row's."""
    samples, counted = torch.zeros(64, 6, 1, dtype=torch.float64), torch.zeros(64, 6, dtype=torch.bool)
    samples[:, 0] = torch.randn(64, 1, dtype=torch.float64)
    samples[:, 0] -= samples[:, 0].mean()
    counted[:, 0] = counted[:12] = True
    alone = mean_with_error(samples[:, :1], counted[:, :1])[1].item()
    assert mean_with_error(samples, counted)[1].item() == pytest.approx(alone, rel=1e-12) and alone > 0.05


def test_too_few_steps_have_no_error():
    samples = torch.randn(15, 1, 2, dtype=torch.float64)
    mean, error = mean_with_error(samples, _all(samples))
    assert bool(mean.isfinite().all()) and bool(error.isnan().all())
    assert not bool(mean_with_error(torch.randn(16, 1, 2), torch.ones(16, 1, dtype=torch.bool))[1].isnan().any())
    nothing = mean_with_error(samples, ~_all(samples))
    assert bool(nothing[0].isnan().all()) and bool(nothing[1].isnan().all())


def test_a_mean_that_is_infinite_has_no_error():
    samples = torch.randn(64, 2, 2, dtype=torch.float64)
    samples[3, 1, 0] = -math.inf
    counted = _all(samples)
    counted[5:, 1] = False
    mean, error = mean_with_error(samples, counted)
    assert mean[0] == -math.inf and bool(error[0].isnan()) and bool(error[1] > 0)
