import numpy as np
import pytest
from data_files import assert_same

from throughtime.data.columns import Numbers, Words
from throughtime.data.formats.bundle import series_in
from throughtime.data.series import Origin
from throughtime.errors import ArgumentError, InputFileError

ORIGIN = Origin("a.npz", 1, "0")
X = np.arange(30.0).reshape(2, 5, 3) / 7


def test_a_label_per_series_or_per_step():
    label = series_in(ORIGIN, {"x": X, "y": np.array([[3], [1]])}).label
    assert isinstance(label, Numbers)
    assert (label.values.tolist(), label.whole) == ([3, 1], True)
    series = series_in(ORIGIN, {"x": X, "y": np.arange(10).reshape(2, 5), "lengths": np.array([2, 4])})
    assert series.label is None
    assert list(series.columns) == ["x0", "x1", "x2", "y"]
    assert_same(series, [np.column_stack([X[0, :2], [0, 1]]), np.column_stack([X[1, :4], [5, 6, 7, 8]])])


def test_labels_per_step_follow_the_layout_and_keep_steps_without_values():
    x = np.moveaxis(X, 1, 0).copy()
    x[-1] = np.nan
    series = series_in(ORIGIN, {"x": x, "y": np.array([list("abcde"), list("vwxyz")]).T}, "TNC")
    column = series.columns["y"]
    assert isinstance(column, Words)
    assert [column.cell(step) for step in range(10)] == list("abcdevwxyz")
    assert series.lengths.tolist() == [5, 5]


def test_a_label_per_step_of_a_single_series_and_of_series_end_to_end():
    series = series_in(ORIGIN, {"x": X[0], "y": np.arange(5)})
    assert_same(series, [np.column_stack([X[0], np.arange(5)])])
    series = series_in(ORIGIN, {"values": X[0], "labels": np.arange(5.0), "lengths": np.array([1, 4])})
    assert_same(series, [np.column_stack([X[0, :1], [0]]), np.column_stack([X[0, 1:], [1, 2, 3, 4]])])


def test_padded_series_of_a_single_column_are_cut_to_their_lengths():
    series = series_in(ORIGIN, {"x": X[:, :, 0], "lengths": np.array([2, 1])})
    assert_same(series, [X[0, :2, :1], X[1, :1, :1]])


def test_first_steps_may_leave_out_the_end():
    assert_same(series_in(ORIGIN, {"x": X[0], "starts": np.array([0, 2])}), [X[0, :2], X[0, 2:]])
    assert_same(series_in(ORIGIN, {"x": X[0].T, "starts": np.array([0, 2])}, "CT"), [X[0, :2], X[0, 2:]])


def test_ids_and_lists_of_labels():
    arrays = {"x": [X[0], X[1, :2]], "y": [np.array(["up"]), np.array(["down"])], "ids": np.array([b"k", b"l"])}
    series = series_in(ORIGIN, arrays)
    assert series.ids == ["k", "l"]
    assert isinstance(series.label, Words)
    assert series.label.levels == ("up", "down")
    label = series_in(ORIGIN, {"x": [X[0], X[1, :2]], "y": [np.array([[3]]), np.array([[1]])]}).label
    assert isinstance(label, Numbers)
    assert (label.values.tolist(), label.whole) == ([3, 1], True)
    series = series_in(ORIGIN, {"x": [X[0], X[1, :2]], "y": [np.arange(5), np.array([8, 9])]})
    assert_same(series, [np.column_stack([X[0], np.arange(5)]), np.column_stack([X[1, :2], [8, 9]])])


def test_series_that_stand_as_columns_are_turned_with_a_note():
    series = series_in(ORIGIN, {"x": [X[0].T, X[1, :2].T]})
    assert_same(series, [X[0], X[1, :2]])
    assert series.notes == ["The array x of FILE a.npz holds series as columns × steps; they were turned."]
    assert_same(series_in(ORIGIN, {"x": [X[0].T, X[1].T]}, "CT"), [X[0], X[1]])
    for layout in ("", "T", "TC", "CT"):
        assert_same(series_in(ORIGIN, {"x": [X[0, :, 0], X[1, :2, 0]]}, layout), [X[0, :, :1], X[1, :2, :1]])
    assert_same(series_in(ORIGIN, {"x": [X[0, :1], X[1, :1]]}), [X[0, :1], X[1, :1]])


def test_the_only_array_holds_the_steps_and_single_numbers_hold_none():
    arrays = {"rate": np.array(44100.0), "song": X, "y": np.array([1, 0])}
    series = series_in(ORIGIN, arrays)
    assert_same(series, list(X))
    assert series.notes == ["Arrays whose names tell no role were left out: rate with the shape ()."]


def test_an_array_of_no_part_is_left_out_where_there_are_parts():
    notes = series_in(ORIGIN, {"x_train": X, "x_test": X, "y": np.arange(2)}).notes
    assert notes == [
        "Arrays whose names tell no role of the parts train and test were left out: y with the shape (2,)."
    ]


def test_an_array_per_series_keeps_series_of_one_step_and_of_none():
    series = series_in(ORIGIN, {"a": np.array([1.0]), "b": np.array([2.0, 3.0]), "c": np.zeros(0)})
    assert series.ids == ["a", "b", "c"]
    assert series.lengths.tolist() == [1, 2, 0]
    assert series.notes == ["1 series without steps: 2."]


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x": X, "data": X}, "FILE a.npz holds x and data, and the names of both say that they are the steps"),
        ({"y": np.arange(3), "lengths": np.arange(3)}, "has no array of steps, only y with the shape (3,) and lengths"),
        (
            {"a": X, "b": X},
            "holds a and b, none with a name that tells its role, and a, with the shape (2, 5, 3), is more",
        ),
        (
            {"x": X, "y": np.eye(2, 4)},
            "The array y of FILE a.npz has the shape (2, 4), and there are 2 series with 10 steps",
        ),
        ({"x": X, "y": np.arange(3)}, "The array y of FILE a.npz has the shape (3,), and there are 2 series"),
        ({"x": X, "ids": np.array([1, 1])}, "the series 0 and 1, counted from 0, both have the id 1"),
        ({"x": X, "ids": np.arange(3)}, "The array ids of FILE a.npz has 3 ids for 2 series"),
        ({"x": X, "ids": np.array([1.5, 2])}, "has the type float64; ids must be whole numbers or text"),
        (
            {"x": X, "lengths": np.array([5])},
            "The array lengths of FILE a.npz has 1 lengths, and the array x of FILE a.npz",
        ),
        ({"x": X, "lengths": np.array([5, 6])}, "gives the series 1, counted from 0, 6 steps, and there are only 5"),
        ({"x": X, "lengths": np.array([5, -1])}, "has the value -1; it must have whole numbers of at least 0"),
        ({"x": X, "lengths": np.array([5, 1.5])}, "has the value 1.5"),
        ({"x": X, "lengths": np.array([5, 1e300])}, "has the value 1e+300"),
        ({"x": X, "lengths": np.array([5, np.nan])}, "has the value nan"),
        ({"x": X, "lengths": np.zeros(0)}, "has no value; it must have whole numbers"),
        ({"x": X, "lengths": np.eye(2)}, "has the shape (2, 2); it must have a single value per series"),
        ({"x": X[0], "lengths": np.array([5, 6])}, "adds up to 11 steps, and the array x of FILE a.npz has 5"),
        ({"x": X[0], "starts": np.array([0, 6])}, "does not ascend from 0 to at most the 5 steps"),
        ({"x": X[0], "starts": np.array([1, 3])}, "does not ascend from 0"),
        (
            {"x": X, "starts": np.array([0, 3])},
            "does not ascend from 0 to at most the 5 steps of series that lie end to end",
        ),
        (
            {"x": [X[0], X[0, :2, :2]]},
            "has (5, 3) in the series 0 and (2, 2) in the series 1, counted from 0; all must have",
        ),
        ({"x": [X[0], X]}, "in the series 1, counted from 0, has the shape (2, 5, 3)"),
        ({"x": [np.zeros((0, 0))]}, "has 1 series without a step"),
        ({"x": [X[0]], "y": [np.arange(5), np.arange(5)]}, "has 2 elements for 1 series"),
        ({"x": [X[0]], "y": [np.arange(3)]}, "has 3 labels in element 0, counted from 0, whose series has 5 steps"),
        (
            {"x_train": X, "x_test": X[:, :, :2]},
            "in the part test of FILE a.npz; files that are read together must have",
        ),
        (
            {"x_train": X, "y_train": np.arange(2), "x_test": X},
            "The labels differ: label in the part train of FILE a.npz",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_named(arrays, said):
    with pytest.raises(InputFileError) as caught:
        series_in(ORIGIN, arrays)
    assert said in str(caught.value)


@pytest.mark.parametrize("layout", ["NC", "TT", "XT", "ntc", "NTCC"])
def test_a_layout_names_each_axis_once(layout):
    with pytest.raises(ArgumentError, match=f"layout is {layout}; it must name each axis once"):
        series_in(ORIGIN, {"x": X}, layout)


def test_a_list_has_no_axis_of_series():
    for layout in ("NTC", "T"):
        with pytest.raises(
            InputFileError, match=f"has an array per series, and the layout is {layout}; it must be TC or"
        ):
            series_in(ORIGIN, {"x": [X[0]]}, layout)


def test_ids_may_be_a_list_of_words():
    assert series_in(ORIGIN, {"x": X, "ids": [np.array(["k"]), np.array(["l"])]}).ids == ["k", "l"]
