import math

import pytest

from throughtime.updates.schedules import learning_rate_factor


def _factors(schedule, total=40, warm_up=4, reductions=0):
    return [learning_rate_factor(k, total, schedule, warm_up, reductions) for k in range(total + 1)]


def test_the_rate_rises_linearly_in_the_warm_up():
    assert _factors("constant")[:7] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0, 1.0])


def test_without_warm_up_the_first_update_has_the_full_rate():
    assert learning_rate_factor(0, 40, "constant", 0, 0) == 1.0


def test_the_cosine_falls_from_one_to_a_hundredth():
    factors = _factors("cosine", warm_up=0)
    assert factors[0] == 1.0
    assert factors[20] == pytest.approx(0.505)
    assert factors[40] == pytest.approx(0.01)
    assert factors[10] == pytest.approx(0.01 + 0.99 * 0.5 * (1 + math.sqrt(0.5)))
    assert all(after < before for before, after in zip(factors, factors[1:], strict=False))


def test_beyond_its_end_the_cosine_stays():
    assert learning_rate_factor(90, 40, "cosine", 0, 0) == pytest.approx(0.01)


def test_a_plateau_halves_the_rate():
    assert _factors("plateau", reductions=3)[10] == 0.125
    assert _factors("constant", reductions=3)[10] == 1.0
