from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from throughtime.data.columns import column_of
from throughtime.data.series import Origin, SeriesSet
from throughtime.data.splitting import chosen_split, held_out_series, part_of_series, split_series
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


def _of_lengths(lengths, **more):
    starts = np.concatenate([[0], np.cumsum(lengths)])
    columns = {"x": column_of(list(range(int(starts[-1]))))}
    return SeriesSet(Origin("a.csv", 1, ""), [f"s{i}" for i in range(len(lengths))], starts, columns, **more)


def _steps(series, which=None):
    values = series.columns["x"].values
    return values.tolist() if which is None else values[which].tolist()


@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.sampled_from([0.05, 0.1, 0.5, 0.9]))
def test_the_end_of_every_series_is_held_out_and_the_rest_trained_on(lengths, share):
    series = _of_lengths(lengths)
    if max(lengths) < 2:
        with pytest.raises(InputFileError, match="no series has two steps"):
            split_series(series, "time", share, 0)
        return
    training, held_out = split_series(series, "time", share, 0)
    assert sorted(_steps(training) + _steps(held_out, held_out.scored)) == _steps(series), "each step counts once"
    for name, length in zip(series.ids, lengths, strict=True):
        kept = int(training.lengths[training.ids.index(name)])
        assert kept == max(1, length - min(length - 1, max(1, round(share * length))))
        if length == 1:
            assert name not in held_out.ids
        else:
            at = held_out.ids.index(name)
            assert (held_out.scored_from[at], held_out.lengths[at]) == (kept, length), "with its past"
    assert ("of a single step" in training.notes[-1]) == (1 in lengths)


def test_whole_files_are_held_out():
    series = _of_lengths([2, 3, 1, 4, 2, 5], files=["a", "b", "a", "c", "b", "d"])
    training, held_out = split_series(series, "file", 0.3, 5)
    assert set(training.files).isdisjoint(held_out.files) and len(training) + len(held_out) == 6
    assert len(set(held_out.files)) == 1 and f"1 file of 4, {held_out.files[0]!r}" in training.notes[-1]
    other = [split_series(series, "file", 0.3, seed)[1].files[0] for seed in range(20)]
    assert set(other) == {"a", "b", "c", "d"}, "drawn by the seed"
    with pytest.raises(ArgumentError, match="'s1' comes from several files"):
        split_series(replace(series, files=["a", "", "a", "c", "b", "d"]), "file", 0.3, 0)
    with pytest.raises(ArgumentError, match="a.csv is a single file without parts"):
        split_series(_of_lengths([2, 3]), "file", 0.3, 0)


def test_parts_that_the_file_declares_are_held_out():
    parts = ["train", "valid", "test", "train", "valid", "", "test"]
    series = _of_lengths([2, 3, 1, 4, 2, 5, 1], parts=parts)
    training, held_out = split_series(series, "file", 0.5, 0)
    assert (training.ids, held_out.ids) == (["s0", "s3", "s5"], ["s1", "s4"])
    assert training.notes[-1].endswith("2 series, as the file declares; its test part, 2 series, is left out.")
    unmarked = replace(series, parts=[part.replace("valid", "") for part in parts])
    training, held_out = split_series(unmarked, "file", 0.4, 0)
    assert sorted(training.ids + held_out.ids) == ["s0", "s1", "s3", "s4", "s5"] and len(held_out) == 2
    with pytest.raises(InputFileError, match="all its series as a test part"):
        split_series(replace(series, parts=["test"] * 7), "file", 0.5, 0)
    mixed = split_series(series, "series", 0.5, 0)[0]
    assert "the parts that the file declares are mixed" in mixed.notes[-1]


def test_classes_of_a_column_are_in_both_parts():
    series, classes = _of_lengths([1] * 30), column_of(["rare"] * 2 + ["often"] * 28)
    for seed in range(10):
        held_out = held_out_series(series, 0.1, seed, classes)
        assert held_out[:2].sum() == 1 and held_out[2:].sum() == 3


def test_what_is_chosen_where_the_settings_leave_it_open():
    several, single = _of_lengths([3, 4]), _of_lengths([9])
    assert chosen_split(several, "auto") == "series" and chosen_split(several, "auto", "time") == "time"
    assert chosen_split(single, "auto") == "time" and chosen_split(single, "auto", per_series=True) == "series"
    assert chosen_split(replace(several, parts=["train", "test"]), "auto") == "file"
    assert chosen_split(replace(several, parts=["train", "test"]), "time") == "time"


def test_a_part_is_read_by_name_or_the_test_part():
    parts = ["train", "test", "", "valid", "test", "train", "valid", "test"]
    series = _of_lengths([1] * 8, parts=parts)
    assert part_of_series(series).ids == ["s1", "s4", "s7"] and part_of_series(series, "valid").ids == ["s3", "s6"]
    assert "3 series; 5 of other parts are left out" in part_of_series(series).notes[-1]
    alone = _of_lengths([1, 1], parts=["test", "test"])
    assert part_of_series(alone) is alone
    for parts, said in ((["train", "test"], "has the parts train and test"), (["", ""], "has no parts")):
        with pytest.raises(ArgumentError, match=f"part is 'valid'; FILE a.csv {said}"):
            part_of_series(_of_lengths([1, 1], parts=parts), "valid")
