"""Columns of 0 and 1."""

import numpy as np
import pytest
import torch
from runs.tasks.laws import assert_begins_at, followed, numbers

from throughtime.errors import InputFileError
from throughtime.runs.tasks.keys import Keys, are_keys

COLUMNS = {"a": numbers([0, 1, 1, 0, 1, 1, 1]), "b": numbers([0, 0, np.nan, 1, 0, 0, 0])}
KEYS = Keys.fit(COLUMNS, ("a", "b"), followed(4, 1, 2))


def test_shares_are_counted_within_series_and_never_sure():
    # Pairs within series: a has 0→1, 1→1, 1→0, 1→1; b has 0→0, 0→?, ?→1, 0→0.
    np.testing.assert_allclose(KEYS.shares, [5.5 / 8, 1.5 / 7])
    np.testing.assert_allclose(KEYS.after_off, [1.5 / 2, 0.5 / 3])
    np.testing.assert_allclose(KEYS.after_on, [2.5 / 4, 0.5 / 1])


def test_training_begins_at_the_shares():
    assert_begins_at(KEYS, KEYS.marginal(), torch.tensor([[0.0, 1.0], [1.0, 1.0], [1.0, 0.0]]))


def test_the_marginal_stands_in_for_persistence_where_the_value_before_is_missing():
    before = torch.tensor([[1.0, torch.nan]], dtype=torch.float64)
    losses = KEYS.naive_losses(before, torch.ones(1, 2, dtype=torch.float64))
    np.testing.assert_allclose(losses["marginal"][0], -np.log(KEYS.shares), rtol=1e-6)
    np.testing.assert_allclose(losses["persistence"][0], [-np.log(2.5 / 4), -np.log(1.5 / 7)], rtol=1e-6)


def test_the_temperature_sharpens_chances():
    law = KEYS.law(torch.tensor([[1.0, -2.0]]), torch.zeros(1, 2), 0.5)
    torch.testing.assert_close(law.mean, torch.tensor([[2.0, -4.0]]).sigmoid())


def test_other_numbers_are_no_keys():
    assert are_keys(COLUMNS["b"]) and not are_keys(numbers([0, 1, 0.5]))
    with pytest.raises(InputFileError, match=r"The column b holds 0.5, and the model knows 0 and 1 there alone"):
        KEYS.numbers({**COLUMNS, "b": numbers([0, 0.5, 1])})
