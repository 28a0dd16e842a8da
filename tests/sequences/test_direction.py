"""Turning a sequence round, with each row's own length, against plain slicing."""

import pytest
import torch
from layers.comparison import normal

from throughtime.sequences.direction import reversed_in_time, reversed_resets

T = 7
LENGTHS = [5, 7, 0, 1, 3]


@pytest.mark.parametrize("shape", [(), (3,), (3, 2)])
def test_each_rows_valid_steps_turn_and_its_padding_stays(shape: tuple[int, ...]):
    steps = normal(1, T, len(LENGTHS), *shape)
    turned = reversed_in_time(steps, torch.tensor(LENGTHS))
    for row, length in enumerate(LENGTHS):
        assert torch.equal(turned[:length, row], steps[:length, row].flip(0))
        assert torch.equal(turned[length:, row], steps[length:, row])
    assert torch.equal(reversed_in_time(turned, torch.tensor(LENGTHS)), steps)


def test_without_lengths_all_steps_turn():
    steps = normal(1, T, 5, 3)
    assert torch.equal(reversed_in_time(steps, None), steps.flip(0))
    assert torch.equal(reversed_in_time(steps, torch.full((5,), T)), steps.flip(0))


@pytest.mark.parametrize("lengths", [None, torch.tensor(LENGTHS)], ids=["full", "lengths"])
def test_a_boundary_before_step_t_stands_before_the_turned_step_that_crosses_it(lengths):
    valid = LENGTHS if lengths is not None else [T] * len(LENGTHS)
    for row, length in enumerate(valid):
        for t in range(length):
            resets = torch.zeros(T, len(LENGTHS), dtype=torch.bool)
            resets[t, row] = True
            turned = reversed_resets(resets, lengths)
            # Turned step s is step length - 1 - s, so what leads from t to t - 1 is s = length - t; for t = 0 nothing.
            expected = [[length - t, row]] if t else []
            assert turned.nonzero().tolist() == expected


def test_no_steps_and_no_rows():
    assert reversed_resets(torch.zeros(0, 3, dtype=torch.bool), None).shape == (0, 3)
    assert reversed_in_time(torch.zeros(4, 0, 2), torch.zeros(0, dtype=torch.int64)).shape == (4, 0, 2)
