import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from throughtime.data.columns import column_of
from throughtime.data.series import Origin, SeriesSet
from throughtime.data.splitting import held_out_series
from throughtime.errors import InputFileError


def _series(labels, ids=None):
    count = len(labels)
    columns = {"x": column_of(list(range(2 * count)))}
    starts = np.arange(count + 1) * 2
    return SeriesSet(Origin("a.csv", 1, ""), ids or list(range(count)), starts, columns, label=column_of(labels))


@given(st.lists(st.sampled_from("abc"), min_size=2, max_size=60), st.sampled_from([0.1, 0.3]), st.integers(0, 3))
def test_every_class_of_two_series_has_some_in_both_parts(labels, share, seed):
    held_out = held_out_series(_series(labels), share, seed)
    assert 0 < held_out.sum() < len(labels)
    for name in set(labels):
        members = held_out[np.array(labels) == name]
        if len(members) > 1:
            assert members.sum() == min(len(members) - 1, max(1, round(share * len(members))))


@given(st.permutations(range(12)))
def test_the_order_of_the_series_makes_no_difference(order):
    labels = ["a"] * 7 + ["b"] * 5
    held_out = held_out_series(_series(labels), 0.3, 1)
    shuffled = _series([labels[i] for i in order], list(order))
    assert {order[i] for i in np.flatnonzero(held_out_series(shuffled, 0.3, 1))} == set(np.flatnonzero(held_out))


def test_numbers_and_other_seeds():
    series = _series([0.5 * i for i in range(40)])
    first, second = (held_out_series(series, 0.25, seed) for seed in (0, 1))
    assert first.sum() == second.sum() == 10 and (first != second).any()
    with pytest.raises(InputFileError, match=r"a.csv holds a single series.*`id`"):
        held_out_series(_series(["a"]), 0.1, 0)


def test_series_are_taken_with_all_that_is_theirs():
    taken = _series(["a", "b", "a"], ["p", "q", "r"]).take(np.array([2, 0]))
    assert taken.ids == ["r", "p"] and taken.columns["x"].values.tolist() == [4, 5, 0, 1]
    assert taken.starts.tolist() == [0, 2, 4] and taken.label.cell(1) == "a"
    assert taken.take(np.array([], dtype=int)).steps == 0
