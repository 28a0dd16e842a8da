import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from throughtime.data.formats.instants import count_from, fits, instant_of


@given(st.datetimes(min_value=datetime.datetime(1678, 1, 1), max_value=datetime.datetime(2261, 12, 31)))
def test_times_come_back_as_they_were_written(moment):
    for text in (moment.isoformat(), moment.isoformat(" "), f" {moment:%Y-%m-%d %H-%M-%S.%f}"):
        assert instant_of(text) == np.datetime64(moment, "ns")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2020-02-29", "2020-02-29T00:00"), ("1999-12", "1999-12-01T00:00"), ("2020-01-31 07:30", "2020-01-31T07:30")],
)
def test_shorter_forms(text, expected):
    assert instant_of(text) == np.datetime64(expected)


@pytest.mark.parametrize(
    "text", ["", "2020", "0", "1.5", "2021-02-29", "2020-13-01", "2020-01-01 25:00", "2020-01-01T00:00Z", "Jan 2020"]
)
def test_other_texts_are_no_times(text):
    assert instant_of(text) is None


def test_years_that_nanoseconds_cannot_hold_keep_their_time():
    early = instant_of("1500-06-01 12:00:00")
    assert early == np.datetime64("1500-06-01T12:00:00")
    assert early is not None and not fits(early)
    assert [fits(np.datetime64(year, "s")) for year in ("1677", "1678", "2261-12-31", "2262")] == [
        False,
        True,
        True,
        False,
    ]


@given(
    st.datetimes(min_value=datetime.datetime(1700, 1, 1), max_value=datetime.datetime(2200, 12, 31)),
    st.integers(1, 24),
    st.integers(1, 20),
)
def test_steps_of_months_keep_the_day_or_take_the_last(moment, months, steps):
    times = count_from(np.datetime64(moment, "ns"), np.timedelta64(months, "M"), steps)
    assert times is not None
    assert times[0] == np.datetime64(moment, "ns")
    for number, time in enumerate(times.astype("datetime64[us]").tolist()):
        whole, month = divmod(moment.month - 1 + number * months, 12)
        assert (time.year, time.month) == (moment.year + whole, month + 1)
        assert time.timetz() == moment.timetz()
        assert time.day == moment.day or (time + datetime.timedelta(1)).day == 1 and time.day < moment.day


def test_steps_of_equal_length_and_their_bounds():
    start = np.datetime64("2261-12-31T23:00:00.5", "ns")
    times = count_from(start, np.timedelta64(1800, "s"), 2)
    assert times is not None
    assert times.astype(str).tolist() == ["2261-12-31T23:00:00.500000000", "2261-12-31T23:30:00.500000000"]
    assert count_from(start, np.timedelta64(1800, "s"), 3) is None
    assert count_from(np.datetime64("1500", "s"), np.timedelta64(1, "M"), 1) is None
    empty = count_from(start, np.timedelta64(1, "M"), 0)
    assert empty is not None and len(empty) == 0
