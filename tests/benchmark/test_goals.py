import pytest

from throughtime.benchmark.goals import Quantity, geomean, goal_checks, means
from throughtime.benchmark.grid import GRID, VARIANTS


def test_geomean():
    assert geomean([2.0, 4.0, 1.0]) == pytest.approx(2.0)


def test_the_goals_of_a_case_of_the_grid(measured):
    one = measured("rnn", (16, 64, 1000), torch=(0.02,), jax=(0.0019,))
    ratio, share, jax = goal_checks(one)
    assert (ratio.quantity, ratio.value, ratio.bound, ratio.word) == (Quantity.RATIO, pytest.approx(10), 5, "ok")
    assert (share.quantity, share.bound, share.met) == (Quantity.SHARE, 0.6, True)
    assert (jax.quantity, jax.value, jax.bound, jax.word) == (Quantity.JAX, pytest.approx(0.95), 1, "BELOW")


def test_the_goals_of_variants(measured):
    packed = measured("rnn", (16, 64, 10), VARIANTS["packed"], tokens=80, torch=(0.0018,), plain=(0.004,))
    ratio, own = goal_checks(packed)
    assert (ratio.value, ratio.bound, ratio.word) == (pytest.approx(0.9), 1, "BELOW")
    assert (own.quantity, own.value, own.bound, own.word) == (Quantity.OWN_COST, pytest.approx(1), 1.1, "ok")
    (resets,) = goal_checks(measured("rnn", (16, 64, 10), VARIANTS["resets"], plain=(0.0018,)))
    assert (resets.bound, resets.word) == (1.05, "ABOVE")


def test_means_leave_variants_out_and_name_the_worst(measured):
    timed = [
        measured("rnn", (1, 32, 100), torch=(0.016, 0.032, 0.004)),
        measured("rnn", (8, 64, 100), torch=(0.004, 0.004, 0.004)),
        measured("rnn", (8, 64, 100), VARIANTS["float64"], torch=(0.0001,)),
        measured("lstm", (8, 64, 100), torch=(0.001,)),
        measured("gru", (8, 64, 100)),
    ]
    rnn, lstm = means(timed)
    assert (rnn.cell, rnn.shapes, rnn.geomean) == ("rnn", 2, pytest.approx(4))
    assert rnn.geomean_of_minima == pytest.approx(4)
    assert rnn.worst is timed[1]
    assert rnn.goal is None and rnn.met, "two shapes are not the grid"
    assert (lstm.cell, lstm.geomean) == ("lstm", pytest.approx(0.5))


@pytest.mark.parametrize(("threads", "goal"), [(2, 4.0), (1, None)])
def test_the_whole_grid_has_a_goal_for_its_mean(measured, threads, goal):
    (mean,) = means([measured("gru", _numbers(shape), threads=threads, torch=(0.0079,)) for shape in GRID])
    assert mean.shapes == 15 and mean.goal == goal
    assert mean.met == (goal is None)


def _numbers(shape):
    return shape.batch, shape.hidden, shape.steps
