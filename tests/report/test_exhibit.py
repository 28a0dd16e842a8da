import math

import pytest

from throughtime.report.canvas import power, short
from throughtime.report.exhibit import picked, positive, shown, table


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234567, "1,234,567"),
        (0.000123456, "0.0001235"),
        (-2.5, "−2.5"),
        (1e-30, "1e−30"),
        (math.nan, "–"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
        ("forget gate", "forget gate"),
    ],
)
def test_a_cell_as_text(value, text):
    assert shown(value) == text


def test_powers_of_ten_have_raised_exponents():
    assert [power(value) for value in (1.0, 0.001, 1e12)] == ["10⁰", "10⁻³", "10¹²"]


def test_ticks_are_short():
    assert [short(value) for value in (0.05, 4.5e-4, 20000.0, 3e-12, 1.0)] == ["0.05", "4.5e−4", "20000", "3e−12", "1"]


def test_what_is_picked_has_both_ends_and_is_even():
    assert picked(range(101), 5) == [0, 25, 50, 75, 100]
    assert picked([3, 1], 5) == [3, 1] and picked([], 5) == []


def test_a_long_table_says_what_it_leaves_out():
    short, long = table("Lines", ["", "x"], [[1, 2]]), table("Lines", ["", "x"], [[i, i] for i in range(1234)], 10)
    assert short.caption == "Lines" and len(short.rows) == 1
    assert long.caption == "Lines (10 of 1,234 lines, evenly spread)" and len(long.rows) == 10
    assert (long.rows[0][0], long.rows[-1][0]) == (0, 1233)


def test_a_logarithm_is_spared_what_it_cannot_show():
    assert repr(positive([1.0, 0.0, -2.0, math.inf, math.nan])) == "[1.0, nan, nan, nan, nan]"
