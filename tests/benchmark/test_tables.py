import math

from throughtime.benchmark.tables import aligned, finite


def test_cells_stand_flush_left_or_right_and_the_last_may_be_missing():
    assert aligned(("a", "b"), (-3, 4, 5)) == "a     b"
    assert aligned(("a", "b", "long one"), (-3, 4, 5)) == "a     blong one"


def test_numbers_that_are_not_finite_become_their_names():
    assert finite({"a": [math.inf, -math.inf, (math.nan, 1.5)], "b": 3}) == {"a": ["inf", "-inf", ["nan", 1.5]], "b": 3}
