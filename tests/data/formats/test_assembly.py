import hashlib

import numpy as np
import pytest
from data_files import assert_same, series_lists
from hypothesis import given

from throughtime.data.columns import Numbers, Words
from throughtime.data.formats.assembly import (
    assemble,
    column_names,
    join_columns,
    join_notes,
    join_origins,
    join_series,
    without_padding,
    words_of,
)
from throughtime.data.series import Origin
from throughtime.errors import InputFileError

ORIGIN = Origin("a", 3, "0")


def numbers(*values: float, whole: bool = False) -> Numbers:
    return Numbers(np.array(values), whole)


def test_columns_without_names():
    assert column_names(1) == ["value"]
    assert column_names(3) == ["x0", "x1", "x2"]


@given(series_lists(least_steps=0))
def test_series_are_laid_end_to_end(tables):
    series = assemble(ORIGIN, tables, [True] * tables[0].shape[1])
    assert series.lengths.tolist() == [len(table) for table in tables]
    assert_same(series, tables)
    assert len(series.notes) == any(len(table) == 0 for table in tables)


@given(series_lists(least_steps=0, padded=True))
def test_padding_is_left_out_and_nothing_else(tables):
    span = max(map(len, tables)) + 1
    full = [np.concatenate([t, np.full((span - len(t), t.shape[1]), np.nan)]) for t in tables]
    kept, notes = without_padding(full)
    for table, expected in zip(kept, tables, strict=True):
        np.testing.assert_array_equal(table, expected)
    assert f"At the ends of {len(tables)} series" in notes[0]
    assert without_padding([table for table in tables if len(table)])[1] == []


@pytest.mark.parametrize(("bare", "said"), [(5, "0, 1, 2, 3 and 4"), (7, "0, 1, 2, 3, 4 and 2 more")])
def test_the_first_series_without_steps_are_named(bare, said):
    series = assemble(ORIGIN, [np.zeros((0, 2))] * bare + [np.ones((1, 2))], [False, False])
    assert series.notes == [f"{bare} series without steps: {said}."]


def test_words_have_the_declared_levels_first():
    column = words_of(["c", None, "a", "c"], ["a", "b"])
    assert column.levels == ("a", "b", "c")
    assert [column.cell(row) for row in range(4)] == ["c", None, "a", "c"]


def test_columns_join_whatever_their_levels():
    joined = join_columns([words_of(["b", "a", None]), numbers(np.nan), words_of(["c", "b"])], ["A", "B", "C"], "k")
    assert isinstance(joined, Words)
    assert joined.levels == ("b", "a", "c")
    assert [joined.cell(row) for row in range(6)] == ["b", "a", None, None, "c", "b"]
    joined = join_columns([numbers(1, 2, whole=True), numbers(3.5)], ["A", "B"], "k")
    assert isinstance(joined, Numbers)
    assert (joined.values.tolist(), joined.whole) == ([1, 2, 3.5], False)


def test_words_and_numbers_do_not_join():
    with pytest.raises(InputFileError, match="The column k holds words in FILE b and numbers in FILE c"):
        join_columns([numbers(np.nan), words_of(["x"]), numbers(1)], ["FILE a", "FILE b", "FILE c"], "k")


def test_the_digest_of_several_files_is_that_of_their_digests():
    joined = join_origins("all", [Origin("a", 3, "aa"), Origin("b", 4, "bb")])
    assert joined == Origin("all", 7, hashlib.sha256(b"aabb").hexdigest())


def test_a_note_is_said_once_with_its_files():
    notes = [["all", "some"], ["all"], ["all", "some"]]
    assert join_notes(notes, ["A", "B", "C"]) == ["all", "A and C: some"]


def test_series_join_with_their_labels_statics_times_and_parts():
    first = assemble(
        ORIGIN,
        [np.ones((2, 1)), np.ones((3, 1))],
        [False],
        label=words_of(["b", "a"]),
        statics={"s": numbers(1, 2)},
        times=np.arange(5).astype("datetime64[ns]"),
    )
    second = assemble(
        ORIGIN,
        [np.full((4, 1), 7.0)],
        [False],
        label=words_of(["a"]),
        statics={"s": numbers(3)},
        times=np.arange(4).astype("datetime64[ns]"),
    )
    joined = join_series(ORIGIN, [first, second], ["A", "B"], ["a", "b"], ["train", ""])
    assert joined.starts.tolist() == [0, 2, 5, 9]
    assert joined.ids == ["a/0", "a/1", "b/0"]
    assert joined.parts == ["train", "train", ""]
    assert isinstance(joined.label, Words)
    assert [joined.label.cell(i) for i in range(3)] == ["b", "a", "a"]
    assert [joined.statics["s"].cell(i) for i in range(3)] == [1, 2, 3]
    assert joined.times is not None
    assert joined.times.astype(int).tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3]
    taken = joined.take(np.array([2, 0]))
    assert taken.parts == ["", "train"]
    assert list(first.take(np.array([1])).parts) == []


def test_series_of_a_file_each_have_its_name_and_other_ids_stay():
    single = assemble(ORIGIN, [np.ones((2, 1))], [False])
    assert join_series(ORIGIN, [single, single], ["A", "B"], ["a", "b"]).ids == ["a", "b"]
    named = [assemble(ORIGIN, [np.ones((1, 1))] * 2, [False], ids=ids) for ids in (["k", "l"], ["m", "n"])]
    assert join_series(ORIGIN, named, ["A", "B"], ["a", "b"]).ids == ["k", "l", "m", "n"]


def test_what_differs_is_named():
    times = np.arange(2).astype("datetime64[ns]")
    plain = assemble(ORIGIN, [np.ones((2, 1))], [False])
    wide = assemble(ORIGIN, [np.ones((2, 2))], [False, False])
    timed = assemble(ORIGIN, [np.ones((2, 1))], [False], times=times)
    with pytest.raises(InputFileError, match="The columns differ: value in A, and x0 and x1 in B"):
        join_series(ORIGIN, [plain, wide], ["A", "B"], ["a", "b"])
    with pytest.raises(InputFileError, match="B has times and A has none"):
        join_series(ORIGIN, [plain, timed], ["A", "B"], ["a", "b"])
