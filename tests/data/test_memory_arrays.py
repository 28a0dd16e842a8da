import hashlib

import numpy as np
import pytest
import torch
from data_files import assert_same, series_lists
from hypothesis import given
from hypothesis import strategies as st

from throughtime.data.columns import Words
from throughtime.data.memory_arrays import is_array, series_of_arrays
from throughtime.errors import ArgumentError, ArgumentTypeError, InputFileError


@given(series_lists(padded=True), st.sampled_from(["arrays", "tensors", "lists"]))
def test_a_list_has_a_series_each_in_whatever_form(tables, form):
    make = {"arrays": np.asarray, "tensors": torch.tensor, "lists": lambda table: table.tolist()}[form]
    series, per_step = series_of_arrays([make(table) for table in tables])
    assert_same(series, tables)
    assert (per_step, series.label, list(series.ids)) == ("", None, list(range(len(tables))))


@given(series_lists(padded=True), st.permutations("NTC"))
def test_padded_arrays_are_cut_to_the_lengths_in_every_layout(tables, axes):
    longest = max(map(len, tables))
    padded = np.stack([np.pad(table, ((0, longest - len(table)), (0, 0))) for table in tables])
    layout = "".join(axes)
    array = padded.transpose(["NTC".index(axis) for axis in layout])
    series, _ = series_of_arrays(array, lengths=[len(table) for table in tables], layout=layout)
    assert_same(series, tables)


THREE = [np.arange(length, dtype=float) for length in (2, 1, 4)]


@pytest.mark.parametrize(
    ("labels", "cells"),
    [
        (["x", "y", "x"], ["x", "y", "x"]),
        (["x", None, "y"], ["x", None, "y"]),
        (np.array(["x", float("nan"), "y"], dtype=object), ["x", None, "y"]),
        ([1, 2, 1], [1, 2, 1]),
        ([1.5, None, 2], [1.5, None, 2.0]),
        (torch.tensor([0.5, 1, 2], requires_grad=True), [0.5, 1.0, 2.0]),
        (torch.tensor([0.5, 1, 2], dtype=torch.bfloat16), [0.5, 1.0, 2.0]),
        ([True, False, True], [1, 0, 1]),
    ],
)
def test_labels_of_series(labels, cells):
    series, per_step = series_of_arrays(THREE, labels)
    assert series.label is not None and per_step == ""
    assert [series.label.cell(number) for number in range(3)] == cells


def test_labels_of_steps_are_a_column():
    series, per_step = series_of_arrays(THREE, [["a", "b"], ["a"], [None, "b", "a", "a"]])
    column = series.columns[per_step]
    assert isinstance(column, Words) and series.label is None
    assert [column.cell(step) for step in range(7)] == ["a", "b", "a", None, "b", "a", "a"]


def test_ids_and_the_digest_tell_data_apart():
    series, _ = series_of_arrays(THREE, ids=["c", "a", "b"])
    assert list(series.ids) == ["c", "a", "b"] and series.origin.name == "list" and series.origin.bytes > 0
    digests = {
        series_of_arrays(*arguments)[0].origin.sha256
        for arguments in (
            (THREE,),
            (THREE, [1, 2, 3]),
            (THREE, [1, 2, 4]),
            (THREE, None, None, ["c", "a", "b"]),
            ([*THREE[:2], THREE[2] + 1],),
            ([np.arange(7.0)],),
        )
    }
    assert len(digests) == 6 and hashlib.sha256().hexdigest() not in digests
    assert series_of_arrays([table.copy() for table in THREE])[0].origin == series_of_arrays(THREE)[0].origin


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        (([],), ArgumentError, "source is an empty list"),
        ((np.zeros((3, 4)),), ArgumentError, "layout is missing.*TC for a series of 3 steps, or NT for 3 series of 4"),
        (([["a"], [1]],), InputFileError, "in the series 0.*holds text"),
        (([[[1, 2], [3]]],), ArgumentTypeError, r"source\[0\] .* must be an array of numbers"),
        ((THREE, ["x", 1, "y"]), ArgumentTypeError, "labels holds other objects than numbers and text"),
        ((THREE, [1, 2]), InputFileError, "must have a label per series or per step"),
        ((THREE, [[1], [2], [3, 4]]), InputFileError, "has 1 labels in element 0"),
        ((THREE, None, None, ["a", "a", "b"]), InputFileError, "both have the id 'a'"),
        ((np.zeros((2, 3, 1)), None, [1, 4]), InputFileError, "4 steps, and there are only 3"),
        ((np.array([{}, None]),), InputFileError, "holds Python objects"),
    ],
)
def test_what_is_no_series_is_refused(arguments, kind, said):
    with pytest.raises(kind, match=said):
        series_of_arrays(*arguments)


def test_a_frame_is_no_array_and_no_series_of_a_list():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame({"x": [1, 2]})
    assert not is_array(frame) and is_array(frame["x"]) and is_array(frame.to_numpy()) and not is_array("ab")
    with pytest.raises(ArgumentTypeError, match=r"source\[0\] is a data frame.*join frames into one"):
        series_of_arrays([frame])
