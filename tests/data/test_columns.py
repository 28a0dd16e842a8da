import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from throughtime.data.columns import ABSENT, EXACT, Numbers, Words, as_words, by_first_row, column_of, joined, spelled


def cells(column):
    return [column.cell(row) for row in range(len(column))]


def test_numbers_that_float64_does_not_hold_are_words():
    assert cells(column_of([EXACT, None, 3])) == [EXACT, None, 3]
    assert cells(column_of([EXACT + 1, None, 3])) == [str(EXACT + 1), None, "3"]
    assert isinstance(column_of([10**400]), Words)


def test_a_number_is_spelled_the_same_among_whole_ones_and_others():
    assert [spelled(cell) for cell in (3, 3.0, 2.5, "x", 1e300, math.inf)] == ["3", "3", "2.5", "x", "1e+300", "inf"]


@given(
    st.lists(
        st.lists(st.none() | st.sampled_from(["x", "y", "3"]), max_size=3)
        | st.lists(st.none() | st.sampled_from([3, -4]) | st.sampled_from([2.5, 3.0]), max_size=3),
        max_size=4,
    )
)
def test_columns_end_to_end(parts):
    column = joined([column_of(part) for part in parts])
    together = [cell for part in parts for cell in part]
    words = any(isinstance(cell, str) for cell in together)
    assert cells(column) == [cell if cell is None or not words else spelled(cell) for cell in together]
    if isinstance(column, Words):
        assert column.levels == tuple(dict.fromkeys(cell for cell in cells(column) if cell is not None))


def test_whole_columns_end_to_end_are_whole():
    whole, nothing, other = column_of([1, None]), column_of([None]), column_of([0.5])
    assert cells(joined([nothing, whole])) == [None, 1, None] and joined([nothing, whole]).whole
    assert not joined([whole, other]).whole
    assert cells(joined([nothing, column_of(["x"])])) == [None, "x"]


@given(st.lists(st.integers(ABSENT, 3), max_size=8))
def test_levels_by_first_row(numbers):
    words = Words(np.array(numbers, dtype=np.int32), ("d", "a", "c", "b"))
    ordered = by_first_row(words)
    assert cells(ordered) == cells(words)
    assert ordered.levels == tuple(dict.fromkeys(cell for cell in cells(words) if cell is not None))


@pytest.mark.parametrize("column", [Numbers(np.array([np.nan, np.nan])), Numbers(np.zeros(0))])
def test_a_column_without_values_as_words(column):
    assert cells(as_words(column)) == [None] * len(column) and as_words(column).levels == ()
