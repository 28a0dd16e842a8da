"""Linear forecasts from the latest changes, against the process that made the data and against numpy's solver."""

import numpy as np
import pytest

from throughtime.data.columns import Numbers
from throughtime.data.linear_past import LinearPast, base_of
from throughtime.data.past import Places, TargetScale, past_of


def _past(values, starts, season, by="global"):
    places = Places.of(np.array(starts))
    scales = [TargetScale.fit("y", Numbers(values[:, 0]), places, "linear", season)]
    return past_of(values, places, scales, "linear", season, by)


def _process(steps, seed, season=4):
    """A change over a season that is half of that before, and a quarter of that two before, with a little noise."""
    chance = np.random.default_rng(seed)
    values = list(10 + chance.normal(0, 1, season + 2))
    while len(values) < steps:
        change = [values[-1 - lag] - values[-1 - lag - season] if len(values) > season + lag else 0 for lag in (0, 1)]
        values.append(values[-season] + 0.5 * change[0] - 0.25 * change[1] + chance.normal(0, 0.3))
    return np.array(values)[:, None]


def test_the_weights_are_those_of_the_process():
    values = np.concatenate([_process(3000, 0), _process(2000, 1)])
    past = _past(values, [0, 3000, 5000], 4)
    linear, error = LinearPast.fit(values, past, 4, 1)
    assert linear.weights[0][0] == pytest.approx([0, 0.5, -0.25, 0, 0], abs=0.05)
    assert error == pytest.approx(0.3 * np.sqrt(2 / np.pi) / values.std(), rel=0.05)


def test_forecasts_are_those_of_the_formula_and_know_nothing_of_what_comes():
    values = _process(120, 2)
    past = _past(values, [0, 120], 4)
    linear, _ = LinearPast.fit(values, past, 4, 3)
    at = np.array([60, 90])
    came = base_of(past, at, 4, 3) + linear.departures(past, at, 4)
    for row, cut in enumerate(at):
        changes = [values[cut - lag, 0] - values[cut - lag - 4, 0] for lag in range(4)]
        for step, weights in enumerate(linear.weights[0]):
            base = values[cut + step + 1 - 4, 0]
            scale = past.scale[cut, 0]
            assert came[row, step, 0] == pytest.approx(base + scale * weights[0] + np.dot(weights[1:], changes))
    other = values.copy()
    other[91:] += 100
    changed = _past(other, [0, 120], 4, "none")
    before = _past(values, [0, 120], 4, "none")
    np.testing.assert_allclose(linear.departures(changed, at, 4), linear.departures(before, at, 4))


def test_without_a_season_the_changes_are_those_to_now():
    chance = np.random.default_rng(3)
    values = np.zeros(2000)
    for step in range(1, 2000):
        values[step] = 0.8 * values[step - 1] + chance.normal()
    values = values[:, None]
    past = _past(values, [0, 2000], 1)
    linear, error = LinearPast.fit(values, past, 1, 1)
    naive = np.abs(np.diff(values[:, 0])).mean() / values.std()
    # Ten changes tell most of the level, which is what the process returns from.
    assert error < 0.99 * naive and len(linear.weights[0][0]) == 11


def test_the_error_is_that_of_leaving_each_cut_off_out(monkeypatch):
    monkeypatch.setattr("throughtime.data.linear_past._PENALTIES", (1.0,))
    values = _process(60, 4, season=2)
    past = _past(values, [0, 60], 2)
    _, error = LinearPast.fit(values, past, 2, 1)
    at = np.arange(4, 59)
    read = np.stack([np.ones(len(at))] + [
        (values[at - lag, 0] - values[at - lag - 2, 0]) / past.scale[at, 0] for lag in range(2)
    ], axis=1)  # fmt: skip
    away = (values[at + 1, 0] - values[at - 1, 0]) / past.scale[at, 0]
    errors = []
    for left in range(len(at)):
        kept = np.arange(len(at)) != left
        gram = read[kept].T @ read[kept] + np.diag([1e-9, 1, 1])
        weights = np.linalg.solve(gram, read[kept].T @ away[kept])
        errors.append(abs(away[left] - read[left] @ weights) * past.scale[at[left], 0] / values.std())
    assert error == pytest.approx(np.mean(errors), rel=1e-6)


def test_series_that_are_too_short_have_none():
    values = _process(14, 5)
    assert LinearPast.fit(values, _past(values, [0, 14], 4), 4, 2) is None
