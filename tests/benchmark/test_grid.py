from itertools import product
from math import inf

import pytest
import torch

from throughtime.benchmark.grid import (
    GEOMEAN_GOALS,
    GRID,
    QUICK,
    RATIO_GOALS,
    SHARE_GOALS,
    VARIANTS,
    Case,
    Shape,
    Variant,
    gates_of,
    ratio_goal,
    share_goal,
)
from throughtime.benchmark.sides import TORCH
from throughtime.errors import ArgumentError


def test_the_grid_has_fifteen_shapes_and_the_quick_one_is_a_part_of_it():
    assert len(set(GRID)) == 15 and len(set(QUICK)) == 6
    assert set(QUICK) < set(GRID)
    assert {(shape.batch, shape.hidden) for shape in GRID} > set(SHARE_GOALS)


def test_shapes_as_they_are_written():
    assert Shape.parse(" 20x800x300") == Shape(20, 800, 300) == Shape.parse("20×800×300")
    assert str(Shape(20, 800, 300)) == "20x800x300"


@pytest.mark.parametrize("text", ["", "3x4", "3x4x5x6", "0x4x5", "3x-4x5", "ax4x5", "3x4x5.5", "3x4x٥"])
def test_what_is_no_shape(text):
    with pytest.raises(ArgumentError, match=r"^shapes has .*; a shape is rows x hidden units x steps, .*: separate"):
        Shape.parse(text)


def test_the_input_is_as_wide_as_the_state_but_for_small_states():
    assert [Shape(3, hidden, 5).input_size for hidden in (7, 32, 64, 128, 800)] == [7, 16, 16, 128, 800]
    assert Case("gru", Shape(3, 32, 5), VARIANTS["input1"]).input_size == 1


def test_flops_of_the_products():
    gates_of.cache_clear()
    before = torch.get_rng_state()
    shape = Shape(3, 7, 11)
    assert Case("rnn", shape).flops(33) == 6 * 33 * 7 * 14
    assert Case("gru", shape).flops(20) == 6 * 3 * 20 * 7 * 14
    assert Case("lstm", shape, VARIANTS["input1"]).flops(33) == 6 * 4 * 33 * 7 * 8
    assert Case("rnn", shape, VARIANTS["bidirectional"]).flops(33) == 2 * 6 * 33 * 7 * 14
    both = Case("rnn", shape, Variant("both", "", layers=2, bidirectional=True))
    assert both.flops(33) == 2 * 6 * 33 * 7 * (7 + 7) + 2 * 6 * 33 * 7 * (14 + 7)
    below, above = 6 * 33 * 32 * (16 + 32), 6 * 33 * 32 * (32 + 32)
    assert Case("rnn", Shape(3, 32, 11), VARIANTS["layers"]).flops(33) == below + above
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("cell", "batch", "hidden", "goal"),
    [
        *(("rnn", 1, hidden, goal) for hidden, goal in ((32, 25), (64, 25), (128, 12), (256, 8), (512, 5), (1024, 5))),
        *(("gru", 8, hidden, goal) for hidden, goal in ((64, 5), (128, 2.5), (256, 1.8), (800, 1.5))),
        *(("gru", 16, 64, 5), ("gru", 4, 32, 5), ("rnn", 20, 800, 1.3)),
        *(("rnn", 32, hidden, goal) for hidden, goal in ((64, 3), (128, 1.8), (256, 1.5), (512, 1.3))),
        *(("lstm", 1, hidden, goal) for hidden, goal in ((64, 3), (128, 2), (256, 1.5), (512, 1.3))),
        *(("lstm", 8, hidden, goal) for hidden, goal in ((32, 1.5), (128, 1.3), (256, 1.15), (1024, 1.05))),
    ],
)
def test_goals_for_the_ratio(cell, batch, hidden, goal):
    assert ratio_goal(Case(cell, Shape(batch, hidden, 9)), threads=2) == goal


def test_beside_the_grid_and_with_other_threads_the_goal_is_never_to_be_slower():
    shape = Shape(16, 64, 1000)
    assert ratio_goal(Case("rnn", shape), threads=1) == 1
    assert {ratio_goal(Case("rnn", shape, variant), threads=2) for variant in VARIANTS.values()} == {1}
    assert share_goal(Case("rnn", shape), threads=2) == 0.6
    assert share_goal(Case("rnn", shape), threads=1) is None
    assert share_goal(Case("rnn", shape, VARIANTS["float64"]), threads=2) is None
    assert share_goal(Case("rnn", Shape(8, 64, 1000)), threads=2) is None


def test_every_cell_of_torch_has_goals_that_cover_every_shape():
    assert set(RATIO_GOALS) == set(GEOMEAN_GOALS) == set(TORCH)
    assert all(goals[-1][0] == inf for goals in RATIO_GOALS.values())
    assert all(ratio_goal(Case(cell, shape), 2) > 1 for cell, shape in product(TORCH, GRID))
