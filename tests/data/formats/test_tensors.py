from itertools import permutations

import numpy as np
import pytest

from throughtime.data.columns import Numbers, Words
from throughtime.data.formats.tensors import arrange, check_layout, column_in, is_whole_kind, numbers_in
from throughtime.errors import ArgumentError, InputFileError

LAYOUTS = ["".join(axes) for size in (1, 2, 3) for axes in permutations("NTC", size) if "T" in axes]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_axes_in_any_order_are_put_in_that_of_series_steps_and_columns(layout):
    check_layout(layout)
    sizes = {"N": 2 if "N" in layout else 1, "T": 3, "C": 4 if "C" in layout else 1}
    expected = np.arange(np.prod(list(sizes.values()))).reshape(sizes["N"], sizes["T"], sizes["C"])
    array = np.einsum(f"NTC->{layout}", expected)
    np.testing.assert_array_equal(arrange(array, layout, "x"), expected)


@pytest.mark.parametrize("layout", ["", "NC", "TT", "tc"])
def test_other_layouts_are_refused(layout):
    with pytest.raises(ArgumentError, match="it must name each axis once, T for steps"):
        check_layout(layout)


def test_the_place_of_a_value_that_is_refused_is_in_the_axes_of_the_array():
    array = np.zeros((2, 3))
    array[1, 2] = np.inf
    with pytest.raises(InputFileError, match=r"x is inf at \[1, 2\], counted from 0"):
        numbers_in(array, "x")


@pytest.mark.parametrize("array", [np.array([-(2**53) - 1]), np.array([2**64 - 1], dtype=np.uint64)])
def test_whole_numbers_that_floats_cannot_hold_are_refused(array):
    with pytest.raises(InputFileError, match=r"x is -?\d+ at \[0\], counted from 0; it must be at most 2\*\*53"):
        numbers_in(array, "x")


def test_columns_of_text_and_numbers():
    words = column_in(np.array([b"b", b"", "é".encode()]), "x")
    assert isinstance(words, Words)
    assert [words.cell(row) for row in range(3)] == ["b", None, "é"]
    truths = column_in(np.array([True, False]), "x")
    assert isinstance(truths, Numbers)
    assert (truths.values.tolist(), truths.whole) == ([1, 0], True)
    with pytest.raises(InputFileError, match="x holds bytes that are not text in UTF-8"):
        column_in(np.array([b"\xff"]), "x")
    assert not is_whole_kind(np.ones(1))
