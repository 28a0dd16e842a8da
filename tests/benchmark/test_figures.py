import pytest

from throughtime.benchmark.figures import Distance, Timing
from throughtime.benchmark.grid import VARIANTS


def test_median_and_minimum():
    timing = Timing((5.0, 1.0, 2.0, 4.0))
    assert (timing.median, timing.minimum) == (3.0, 1.0)


def test_ratios_are_the_other_over_ours(measured):
    one = measured(torch=(0.006, 0.010, 0.005), jax=(0.001, 0.004, 0.003))
    assert one.ratio == pytest.approx(3)
    assert one.ratio_of_minima == pytest.approx(5)
    assert one.jax_ratio == pytest.approx(1.5)
    assert one.saved_ratio == 0.25
    assert one.own_cost is None


def test_the_share_counts_the_products_of_valid_steps(measured):
    one = measured("gru", (3, 7, 11), tokens=20)
    assert one.share == pytest.approx(6 * 3 * 20 * 7 * 14 / 0.002 / 1e9)


def test_own_cost_is_per_valid_step(measured):
    one = measured("gru", (3, 7, 10), VARIANTS["packed"], tokens=15, plain=(0.003, 0.003, 0.003))
    assert one.own_cost == pytest.approx((0.002 / 15) / (0.003 / 30))


def test_what_was_not_measured_is_none(measured):
    one = measured()
    assert (one.ratio, one.ratio_of_minima, one.jax_ratio, one.own_cost, one.saved_ratio) == (None,) * 5


def test_a_distance_that_is_no_number_is_a_failure():
    assert Distance("output", 3e-7, 2e-7, 3e-7).within
    assert not Distance("output", 3.1e-7, 2e-7, 3e-7).within
    assert not Distance("output", float("nan"), 2e-7, 3e-7).within
