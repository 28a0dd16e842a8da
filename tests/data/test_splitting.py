from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from throughtime.data.columns import column_of
from throughtime.data.series import Origin, SeriesSet
from throughtime.data.splitting import held_out_series, in_parts, part_of_series, parts_note
from throughtime.errors import ArgumentError, InputFileError


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


PARTS = ["train", "test", "", "valid", "test", "train", "valid", "test"]


def _of(parts):
    return replace(_series(list("abababab")[: len(parts)]), parts=parts)


def test_the_parts_of_a_file_are_kept_apart():
    training, held_out = in_parts(_of(PARTS))
    assert held_out is not None and (training.ids, held_out.ids) == ([0, 2, 5], [3, 6])
    assert "3 series to train on, 2 series held out, 3 series of the part test" in parts_note(_of(PARTS))[0]
    training, held_out = in_parts(_of(["train", "test", "train"]))
    assert (training.ids, held_out) == ([0, 2], None)
    for parts in (["test", "test"], ["", "", ""], []):  # no part but one, so that there is nothing to keep apart
        alone = _of(parts) if parts else _series(list("abc"))
        training, held_out = in_parts(alone)
        assert (training.ids, held_out, parts_note(alone)) == (alone.ids, None, [])


def test_a_part_is_read_by_name_or_the_test_part():
    series = _of(PARTS)
    assert part_of_series(series).ids == [1, 4, 7] and part_of_series(series, "valid").ids == [3, 6]
    assert "3 series; 5 of other parts are left out" in part_of_series(series).notes[-1]
    alone = _of(["test", "test"])
    assert part_of_series(alone) is alone
    for parts, said in ((["train", "test"], "has the parts train and test"), (["", ""], "has no parts")):
        with pytest.raises(ArgumentError, match=f"part is valid; FILE a.csv {said}"):
            part_of_series(_of(parts), "valid")
