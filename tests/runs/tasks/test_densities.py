"""Columns of numbers."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from runs.tasks.laws import assert_begins_at, followed, numbers

from throughtime.data.encoding import Encoding
from throughtime.runs.tasks.densities import Normal, StudentT

CHANCE = np.random.default_rng(0)
WALK = np.cumsum(CHANCE.normal(size=(2, 300)), axis=1).ravel() + 40
COLUMNS = {"walk": numbers(WALK), "noise": numbers(CHANCE.standard_t(3, size=600) * 5)}
BEFORE = torch.tensor([[0.3, -1.0], [0.0, 2.0], [-1.5, 0.1]], dtype=torch.float64)


def _fit(kind, columns=COLUMNS):
    names = tuple(columns)
    rows = len(next(iter(columns.values())))
    return kind.fit(columns, names, Encoding.fit(columns, names), followed(rows // 2, rows - rows // 2))


@pytest.mark.parametrize("kind", [Normal, StudentT])
def test_training_begins_at_the_better_naive_prediction(kind):
    density = _fit(kind)
    assert density.around == (True, False), "a walk is predicted from its value before, noise from its mean"
    assert density.changes[0][0] == 0
    for column, law in ((0, density.persistence(BEFORE)), (1, density.marginal())):
        alone = _fit(kind, {name: COLUMNS[name] for name in (("walk",), ("noise",))[column]})
        assert_begins_at(alone, kind._law([entry[..., column : column + 1] for entry in _parts(law)]), BEFORE[:, :1])


def _parts(law):
    return [law.loc, law.scale, *([law.df] if hasattr(law, "df") else [])]


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_the_loss_is_in_the_unit_of_the_file(shift, scale):
    moved = {"walk": numbers(WALK * scale + shift)}
    ours, theirs = _fit(Normal, {"walk": COLUMNS["walk"]}), _fit(Normal, moved)
    targets = torch.tensor([[0.2], [1.1]], dtype=torch.float64)
    losses = [each.losses(each.marginal(), targets) for each in (ours, theirs)]
    torch.testing.assert_close(losses[1] - losses[0], torch.full((2, 1), np.log(scale), dtype=torch.float64))


def test_heavy_tails_are_fitted_and_repeated_values_have_a_bounded_density():
    heavy = _fit(StudentT).levels[1]
    assert heavy[1] * _fit(StudentT).spreads[1] == pytest.approx(5, rel=0.2) and heavy[2] in (2.1, 3.0, 4.0)
    constant = _fit(Normal, {"walk": numbers([7.0] * 9)})
    assert np.isfinite(constant.naive_loss) and constant.levels[0][1] == 1e-3


def test_errors_are_measured_in_the_unit_of_the_file():
    density = _fit(Normal)
    outputs = torch.tensor([[0.5, 0.2, 0.0, 0.0]], dtype=torch.float64)  # locations, then widths
    known = torch.tensor([[True, False]])
    sums = density.tally(outputs, BEFORE[:1], torch.zeros(1, 2, dtype=torch.float64), known)
    (root, mean, *_), error = density.metrics(sums), (0.5 + 0.3) * density.spreads[0]
    assert (root.name, mean.name) == ("RMSE of walk", "MAE of walk")
    assert root.value == pytest.approx(error) and mean.value == pytest.approx(error)
    assert density.table(outputs, BEFORE[:1])["walk"][0] == pytest.approx(error + density.means[0])
