import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from throughtime.data.running import FARTHEST, RunningScale


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=40))
def test_mean_spread_and_size_are_those_of_all_numbers(numbers):
    scale = RunningScale()
    for number in numbers:
        scale.add(number)
    assert scale.mean == pytest.approx(np.mean(numbers), rel=1e-9, abs=1e-6)
    if np.std(numbers) > 1e-3:
        assert scale.spread == pytest.approx(np.std(numbers), rel=1e-6)
        assert scale.size == pytest.approx(np.sqrt(np.mean(np.square(numbers))), rel=1e-6)


def test_numbers_that_do_not_differ_have_a_spread_of_1():
    scale = RunningScale()
    assert (scale.spread, scale.size, scale.scaled(3.0)) == (1.0, 1.0, 3.0)
    for _ in range(3):
        scale.add(5.0)
    assert (scale.mean, scale.spread, scale.size) == (5.0, 1.0, 5.0)


def test_a_number_far_out_is_held_back():
    scale = RunningScale(2, 1.0, 2e-6)
    assert scale.scaled(2.0) == FARTHEST and scale.scaled(-2.0) == -FARTHEST
