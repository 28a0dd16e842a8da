import numpy as np
import pytest
from data_files import raw_of
from hypothesis import given
from hypothesis import strategies as st

from throughtime.data.formats.numerals import is_whole, read_number, read_numbers
from throughtime.errors import InputFileError


@given(st.lists(st.floats(allow_infinity=False), min_size=1))
def test_numbers_come_back_as_they_were_written(tmp_path_factory, numbers):
    raw = raw_of(tmp_path_factory.mktemp("n"), "a", "x")
    fields = [f" {number!r} " if number == number else "?" for number in numbers]
    np.testing.assert_array_equal(read_numbers(raw, 1, fields, "the series"), numbers)
    np.testing.assert_array_equal([read_number(raw, 1, field, "it") for field in fields], numbers)


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("", "it is empty; write a number, or ? where it is missing"),
        ("abc", "it is 'abc'; it must be a number, or ? where it is missing"),
        ("1,5", "it is '1,5'; it must be a number, write a point for the decimal comma"),
        ("1_5", "it is '1_5'; it must be a number"),
        ("-Infinity", "it is -Infinity; it must be finite: write ? where it is missing"),
        ("1e999", "it is 1e999; it must be finite"),
    ],
)
def test_a_field_that_is_no_number_is_refused(tmp_path, field, said):
    raw = raw_of(tmp_path, "a.ts", "x")
    with pytest.raises(InputFileError) as caught:
        read_number(raw, 7, field, "it")
    assert f"FILE {tmp_path / 'a.ts'}, line 7: {said}" in str(caught.value)
    with pytest.raises(InputFileError, match="value 2 of it is "):
        read_numbers(raw, 7, ["1", field], "it")


def test_whole_numbers_have_neither_a_point_nor_an_exponent():
    assert is_whole("1,-2,?,NaN")
    assert not any(map(is_whole, ("1.0", "1,2e3", "1E3")))
