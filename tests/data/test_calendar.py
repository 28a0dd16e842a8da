from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from throughtime.data.calendar import calendar, cycles_of, season_of
from throughtime.data.clock import Clock
from throughtime.data.frequency import Frequency


@pytest.mark.parametrize(
    ("text", "season"),
    [("Y", 1), ("Q", 4), ("M", 12), ("W", 52), ("B", 5), ("D", 7), ("h", 24), ("15min", 96), ("min", 60), ("s", 60)],
)
def test_seasons_are_the_usual(text, season):
    assert season_of(Frequency.of(text)) == season


def test_numbers_and_unknown_frequencies_have_no_season():
    assert season_of(None) == season_of(Frequency("numbers", 1)) == 1


def _times(start, step, count):
    return np.datetime64(start, "ns") + np.arange(count) * step


def test_cycles_are_read_where_they_come_twice():
    hours = _times("2024-01-01", np.timedelta64(1, "h"), 24 * 14)
    starts = np.array([0, 24 * 14])
    assert cycles_of(Frequency.of("h"), hours, starts) == ("day", "week")
    assert cycles_of(Frequency.of("h"), hours, np.array([0, 24 * 7, 24 * 14])) == ("day",)
    months = np.arange("2000-01", "2003-01", dtype="datetime64[M]").astype("datetime64[ns]")
    assert cycles_of(Frequency.of("M"), months, np.array([0, 36])) == ("year",)
    assert cycles_of(None, hours, starts) == cycles_of(Frequency("numbers", 1), hours, starts) == ()


def test_the_hour_is_that_of_the_clock_on_the_wall():
    """The clocks of Berlin go forward on 2024-03-31; seven in the morning is the same place on both days."""
    zone = ZoneInfo("Europe/Berlin")
    stamps = [datetime(2024, 3, day, 7, tzinfo=zone).astimezone(UTC).replace(tzinfo=None) for day in (30, 31)]
    assert stamps[1] - stamps[0] == timedelta(hours=23)
    waves = calendar(np.array(stamps, dtype="datetime64[ns]"), Clock("Europe/Berlin"), ["day"], Frequency.of("h"))
    np.testing.assert_allclose(waves[0], waves[1], atol=1e-6)
    assert waves[0, 0] == pytest.approx(np.sin(2 * np.pi * 7 / 24), abs=1e-6)


def test_a_week_begins_on_monday_and_months_are_told_apart():
    monday = calendar(np.array(["2024-01-01"], dtype="datetime64[ns]"), Clock(), ["week"], Frequency.of("D"))
    np.testing.assert_allclose(monday[0], [0, 1] * 3, atol=1e-6)
    months = np.arange("2023-01", "2024-01", dtype="datetime64[M]").astype("datetime64[ns]")
    waves = calendar(months, Clock(), ["year"], Frequency.of("M"))
    assert np.linalg.matrix_rank(waves, tol=1e-4) == 11
    assert calendar(months, Clock(), [], Frequency.of("M")).shape == (12, 0)
