import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from throughtime.data import naive


def test_shares_and_the_loss_of_guessing():
    shares = naive.shares_of(np.array([0, 0, 2]), 4)
    np.testing.assert_allclose(shares, np.array([3, 1, 2, 1]) / 7)
    assert naive.guessing_loss(shares, np.array([0, 3])) == pytest.approx(-(np.log(3 / 7) + np.log(1 / 7)) / 2)


def test_summaries_are_means_and_spreads_of_each_series():
    values = np.array([[1, 10], [3, 10], [7, 5]], dtype=np.float32)
    np.testing.assert_allclose(naive.summaries(values, np.array([0, 2, 3])), [[2, 10, 1, 0], [7, 5, 0, 0]], atol=1e-9)


def test_the_nearest_is_that_of_brute_force():
    chance = np.random.default_rng(0)
    known, asked = chance.normal(size=(40, 3)), chance.normal(size=(25, 3))
    brute = ((asked[:, None] - known[None]) ** 2).sum(axis=-1).argmin(axis=1)
    assert naive.nearest(known, asked).tolist() == brute.tolist() and len(set(brute)) > 5


def test_of_very_many_known_points_every_few_are_compared(monkeypatch):
    monkeypatch.setattr(naive, "_MOST_PAIRS", 40)
    known = np.arange(20.0)[:, None]
    found = naive.nearest(known, np.array([[2.4], [11.0], [19.0], [0.2]]))
    assert found.tolist() == [2, 10, 18, 0], "every second point"


def test_summaries_are_the_same_in_parts(monkeypatch):
    chance = np.random.default_rng(1)
    values, starts = chance.normal(size=(31, 2)).astype(np.float32), np.array([0, 3, 4, 11, 12, 29, 31])
    whole = naive.summaries(values, starts)
    monkeypatch.setattr(naive, "_STEPS_AT_ONCE", 5)
    np.testing.assert_allclose(naive.summaries(values, starts), whole, rtol=1e-12)
    for row, (a, b) in zip(whole, zip(starts[:-1], starts[1:], strict=True), strict=True):
        np.testing.assert_allclose(row, [*values[a:b].mean(axis=0), *values[a:b].std(axis=0)], rtol=1e-5, atol=1e-6)


@given(st.lists(st.lists(st.one_of(st.none(), st.integers(0, 9)), min_size=1, max_size=5), min_size=1, max_size=5))
def test_the_value_before_is_the_last_known_one_of_the_same_series(series):
    cells = [cell for one in series for cell in one]
    values = np.array([-1 if cell is None else cell for cell in cells])
    known = np.array([cell is not None for cell in cells])
    starts = np.cumsum([0, *map(len, series)])
    expected = []
    for one in series:
        for step in range(len(one)):
            past = [cell for cell in one[:step] if cell is not None]
            expected.append(past[-1] if past else None)
    found, there = naive.before(values, known, starts)
    assert [int(value) if has else None for value, has in zip(found, there, strict=True)] == expected
