from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from throughtime.data.clock import Clock, minutes_of, offset_text

BERLIN = ZoneInfo("Europe/Berlin")


def instants(*texts):
    return np.array(texts, dtype="datetime64[ns]")


def test_an_hour_that_clocks_show_twice_is_printed_with_its_offset():
    times = instants("2024-10-26T23:30", "2024-10-27T00:30", "2024-10-27T01:30")
    assert Clock("Europe/Berlin", "m", "T", changing=True).printed(times) == [
        "2024-10-27T01:30+02:00",
        "2024-10-27T02:30+02:00",
        "2024-10-27T02:30+01:00",
    ]


@pytest.mark.parametrize(
    ("clock", "text"),
    [
        (Clock("", "M"), "1949-12"),
        (Clock("", "D"), "1949-12-31"),
        (Clock("Z", "s", "T"), "1949-12-31T23:00:01Z"),
        (Clock("+05:30", "m"), "1950-01-01 04:30+05:30"),
        (Clock("-01:00", "h"), "1949-12-31 22-01:00"),
        (Clock("UTC", "ms"), "1949-12-31 23:00:01.250+00:00"),
    ],
)
def test_times_are_printed_in_the_form_in_which_they_came(clock, text):
    assert clock.printed(instants("1949-12-31T23:00:01.25")) == [text]


def test_numbers_are_printed_as_numbers():
    assert Clock(scale=1, counts=True).printed(instants(7, -3)) == ["7", "-3"]
    assert Clock(scale=10**9).printed(instants(1_500_000_000, -2_000_000_000)) == ["1.5", "-2"]


@given(st.lists(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)), max_size=5))
def test_walls_and_instants(moments):
    """What a wall clock shows is what Python's zones say, and leads back to the instant unless it comes twice."""
    times = np.array(moments, dtype="datetime64[ns]")
    clock = Clock("Europe/Berlin", changing=True)
    local = clock.local(times)
    walls = [moment.replace(tzinfo=UTC).astimezone(BERLIN) for moment in moments]
    assert local.tolist() == np.array([wall.replace(tzinfo=None) for wall in walls], dtype="datetime64[ns]").tolist()
    back = clock.utc(local)
    for time, again, wall in zip(times, back, walls, strict=True):
        assert again == time if not wall.fold else again == time - np.timedelta64(wall_twice(wall), "s")


def wall_twice(wall):
    """Seconds between the two instants at which clocks showed the same."""
    return int((wall.replace(fold=0).utcoffset() - wall.utcoffset()) / timedelta(seconds=1))


@given(st.integers(-14 * 60, 14 * 60))
def test_offsets(minutes):
    assert minutes_of(offset_text(minutes)) == minutes
    assert minutes_of(offset_text(minutes).replace(":", "")) == minutes


def test_short_offsets():
    assert [minutes_of(text) for text in ("Z", "UTC", "+02", "-0330")] == [0, 0, 120, -210]
