from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from throughtime.data.clock import Clock
from throughtime.data.columns import column_of
from throughtime.data.series import Origin, Rows
from throughtime.data.times import are_times, moments_of
from throughtime.errors import ArgumentError, InputFileError


def rows_of(cells):
    return Rows(Origin("a.csv", 1, ""), {"t": column_of(cells)}, len(cells), np.arange(2, 2 + len(cells)))


def moments(*cells, epoch=None):
    return moments_of(rows_of(cells), "t", epoch)


@pytest.mark.parametrize(
    ("cells", "instants", "clock", "printed"),
    [
        (["1949", "1950"], ["1949-01-01", "1950-01-01"], Clock("", "Y"), ["1949", "1950"]),
        (["1949-01", "1949-03"], ["1949-01-01", "1949-03-01"], Clock("", "M"), ["1949-01", "1949-03"]),
        (["2020Q1", "2020-Q4"], ["2020-01-01", "2020-10-01"], Clock("", "M"), ["2020-01", "2020-10"]),
        (["2020/02/29"], ["2020-02-29"], Clock("", "D"), ["2020-02-29"]),
        (["2020-02-29 05", "2020-02-29"], ["2020-02-29T05", "2020-02-29"], Clock("", "h"), None),
        (["2020-02-29T05:06Z"], ["2020-02-29T05:06"], Clock("Z", "m", "T"), ["2020-02-29T05:06Z"]),
        (["2020-02-29 05:06:07 UTC"], ["2020-02-29T05:06:07"], Clock("Z"), ["2020-02-29 05:06:07Z"]),
        (["2020-02-29 05:06:07.5-0330"], ["2020-02-29T08:36:07.5"], Clock("-03:30", "ms"), None),
        (["2020-02-29 05:06:07.123456789"], ["2020-02-29T05:06:07.123456789"], Clock("", "ns"), None),
        (
            ["2024-03-30T23:30Z[Europe/Berlin]", "2024-03-31T03:30+02:00[Europe/Berlin]"],
            ["2024-03-30T23:30", "2024-03-31T01:30"],
            Clock("Europe/Berlin", "m", "T", changing=True),
            ["2024-03-31T00:30+01:00", "2024-03-31T03:30+02:00"],
        ),
    ],
)
def test_words_as_times(cells, instants, clock, printed):
    read = moments(*cells)
    assert read.values.tolist() == np.array(instants, dtype="datetime64[ns]").tolist()
    assert read.clock == clock and not read.notes
    if printed:
        assert clock.printed(read.values) == printed


def test_a_missing_time_is_none():
    assert np.isnat(moments("2020-01-01", None).values).tolist() == [False, True]
    assert np.isnat(moments(None, 3).values).tolist() == [True, False]
    assert np.isnat(moments(None, 3, epoch="s").values).tolist() == [True, False]


def test_offsets_that_change_are_counted_in_utc():
    read = moments("2024-03-31 01:30:00+01:00", "2024-03-31 03:30:00+02:00")
    assert np.diff(read.values).tolist() == [3600 * 10**9]
    assert read.clock == Clock("+01:00", changing=True)
    assert read.notes == ["The times in column 't' have the offsets +01:00 and +02:00; they are printed with +01:00."]


@given(
    st.lists(
        st.tuples(
            st.datetimes(datetime(1800, 1, 1), datetime(2200, 1, 1)),
            st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
        ),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from([" ", "T"]),
    st.booleans(),
)
def test_what_python_writes_is_read(table, separator, zoned):
    stamps = [moment.replace(tzinfo=zone) if zoned else moment for moment, zone in table]
    read = moments(*(stamp.isoformat(separator) for stamp in stamps))
    instants = [stamp.astimezone(UTC).replace(tzinfo=None) if zoned else stamp for stamp in stamps]
    assert read.values.tolist() == np.array(instants, dtype="datetime64[ns]").tolist()
    again = moments(*read.clock.printed(read.values))
    assert again.values.tolist() == read.values.tolist()


@pytest.mark.parametrize(
    ("cells", "epoch", "message"),
    [
        (
            ["2020-01-01", None, "01/02/2020"],
            None,
            r"line 4, column 't': is '01/02/2020', which is no time: write times",
        ),
        (["2020-01-01", "2020-02-30"], None, "line 3, column 't': is '2020-02-30', which is no time"),
        (["2020-02-29 24:01"], None, "line 2, column 't': is '2020-02-29 24:01', which is no time"),
        (["2020Q5"], None, "line 2, column 't': is '2020Q5', which is no time"),
        (["2020-01-01", "2262-01-01"], None, "line 3, column 't': is '2262-01-01', which is no time"),
        (["1500-01-01"], None, "line 2, column 't': is '1500-01-01', which is no time"),
        (["2020-01-01\n"], None, "line 2, column 't': is .*, which is no time"),
        (["today"], None, "line 2, column 't': is 'today', which is no time"),
        (["2020-01 05:00"], None, "line 2, column 't': is '2020-01 05:00', which is no time"),
        (
            ["2020-01-01 00:00Z", "2020-01-01 01:00"],
            None,
            "line 3, column 't': is '2020-01-01 01:00', without an offset from UTC, and line 2 has '2020-01-01 00:00Z'",
        ),
        (["2020-01-01 00:00Z[Europe/Berln]"], None, "column 't': is in the zone 'Europe/Berln', which Python does not"),
        ([20200131, 20200201], None, "line 2, column 't': is 20200131, which reads as a date"),
        ([5, 10**13], "s", "line 3, column 't': is 10000000000000, which is too large for a time in s"),
        (
            [0.5, 1e12],
            None,
            r"line 3, column 't': is 1000000000000.0, which is too large for a time: name another column",
        ),
        ([2**60, "x"], "ns", "line 3, column 't': is 'x', which is no whole number of ns since 1970"),
    ],
)
def test_what_is_no_time_is_refused(cells, epoch, message):
    with pytest.raises(InputFileError, match=message):
        moments(*cells, epoch=epoch)


def test_an_unknown_unit_is_refused():
    with pytest.raises(ArgumentError, match="epoch is 'h'; it must be one of s, ms, us, ns"):
        moments(1, epoch="h")


@pytest.mark.parametrize(
    ("cells", "epoch", "texts"),
    [
        ([1_580_428_800, -1], "s", ["1580428800", "-1"]),
        ([1_580_428_800.25], "s", ["1580428800.25"]),
        ([1_580_428_800_123], "ms", ["1580428800123"]),
        ([1_580_428_800_123_456_789], "ns", ["1580428800123456789"]),
    ],
)
def test_numbers_since_1970_only_when_asked_for(cells, epoch, texts):
    read = moments(*cells, epoch=epoch)
    assert not read.clock.counts and not read.notes and read.clock.printed(read.values) == texts
    assert abs(read.values[0] - np.datetime64("2020-01-31")) < np.timedelta64(1, "s")
    if cells[0] < 2**53:
        assert moments(*cells).clock.counts


def test_numbers_count_as_they_stand():
    read = moments(3, 10, -2)
    assert read.values.astype(np.int64).tolist() == [3, 10, -2] and read.clock == Clock(scale=1, counts=True)
    read = moments(0.1, 0.2, 0.1 + 0.2)
    assert np.diff(read.values).tolist() == [10**8, 10**8]
    assert read.notes == ["The times in column 't' are numbers and count as they stand; with `epoch` they are dates."]


@pytest.mark.parametrize(
    ("cells", "times"),
    [(["2020-01", "2021-05"], True), (["2020-01", "x"], False), (["2020-13"], False), ([None, "a"], False)],
)
def test_a_column_of_times_is_known(cells, times):
    assert are_times(column_of(cells)) == times


def test_a_late_word_among_times_is_seen():
    assert not are_times(column_of([f"2020-01-{day:02}" for day in range(1, 30)] + ["x"]))
