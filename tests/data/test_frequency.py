from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from throughtime.data.clock import Clock
from throughtime.data.frequency import Frequency, spacing_of
from throughtime.data.series import Origin, SeriesSet
from throughtime.errors import ArgumentError

HOUR, DAY = 3600 * 10**9, 24 * 3600 * 10**9


PLAIN = Clock()


def series_at(*series, clock=PLAIN):
    times = np.concatenate([np.array(texts, dtype="datetime64[ns]") for texts in series])
    starts = np.concatenate([[0], np.cumsum([len(texts) for texts in series])])
    ids = [f"s{place}" for place in range(len(series))]
    return SeriesSet(Origin("a.csv", 1, ""), ids, starts, {}, times=times, clock=clock)


def local(*texts, zone="Europe/Berlin"):
    """Instants at which clocks in a zone showed some times."""
    stamps = [datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)) for text in texts]
    return [stamp.astimezone(ZoneInfo("UTC")).replace(tzinfo=None) for stamp in stamps]


BERLIN = Clock("Europe/Berlin", changing=True)


@pytest.mark.parametrize(
    ("texts", "frequency", "words", "numbers"),
    [
        (["1949-01", "1949-02", "1949-03", "1949-06"], Frequency("months", 1), "a month", [0, 1, 2, 5]),
        (["2020-01-31", "2020-02-29", "2020-03-31"], Frequency("months", 1), "a month", [0, 1, 2]),
        (["2020-01-15T07", "2020-04-15T07", "2020-07-15T07"], Frequency("months", 3), "a quarter", [0, 1, 2]),
        (["1999", "2000", "2001", "2003"], Frequency("months", 12), "a year", [0, 1, 2, 4]),
        (["2020-01", "2022-01", "2024-01"], Frequency("months", 24), "2 years", [0, 1, 2]),
        (
            ["2024-03-01", "2024-03-02", "2024-03-03", "2024-03-06"],
            Frequency("nanoseconds", DAY),
            "a day",
            [0, 1, 2, 5],
        ),
        (
            ["2024-02-28", "2024-02-29", "2024-03-01", "2024-03-04", "2024-03-06"],
            Frequency("weekdays", 1),
            "a day from Monday to Friday",
            [0, 1, 2, 3, 5],
        ),
        (["2024-02-05", "2024-02-12", "2024-02-26"], Frequency("nanoseconds", 7 * DAY), "a week", [0, 1, 3]),
        (["2024-02-05T00", "2024-02-05T01", "2024-02-05T04"], Frequency("nanoseconds", HOUR), "an hour", [0, 1, 4]),
        (
            ["2024-02-05T00:00", "2024-02-05T00:15", "2024-02-05T00:30"],
            Frequency("nanoseconds", HOUR // 4),
            "15 minutes",
            [0, 1, 2],
        ),
    ],
)
def test_the_most_common_distance(texts, frequency, words, numbers):
    spacing = spacing_of(series_at(texts, texts[1:2]))
    assert spacing.frequency == frequency and str(frequency) == words
    assert spacing.regular and spacing.numbers.tolist() == [*numbers, 0]
    missing = numbers[-1] + 1 - len(numbers)
    assert spacing.missing == missing
    assert len(spacing.gaps) == (np.diff(numbers) > 1).sum()
    assert spacing.note.startswith(f"A step is {words}")


def test_gaps_are_told():
    spacing = spacing_of(
        series_at(["2020-01-01T00", "2020-01-01T01", "2020-01-01T02", "2020-01-01T05"], ["2020-05-01"])
    )
    assert spacing.note == "A step is an hour; 2 steps are missing in 1 gap." and spacing.gaps.tolist() == [3]


def test_a_day_on_which_clocks_change_is_a_day():
    days = ["2024-03-29", "2024-03-30", "2024-03-31", "2024-04-01", "2024-04-03"]
    for clock in (BERLIN, Clock("+01:00", changing=True)):
        spacing = spacing_of(series_at(local(*days), clock=clock))
        assert spacing.frequency == Frequency("nanoseconds", DAY) and spacing.uneven == 0
        assert spacing.numbers.tolist() == [0, 1, 2, 3, 5]
    spacing = spacing_of(series_at(local(*days), clock=Clock("Z")))
    assert spacing.uneven == 1


def test_a_short_day_alone_is_a_day():
    spacing = spacing_of(series_at(local("2024-03-31", "2024-04-01"), clock=BERLIN))
    assert spacing.frequency == Frequency("nanoseconds", DAY) and spacing.uneven == 0


def test_a_gap_within_a_week_makes_no_weekend():
    spacing = spacing_of(series_at(["2024-03-04", "2024-03-05", "2024-03-06", "2024-03-08"]))
    assert spacing.frequency == Frequency("nanoseconds", DAY)


def test_an_hour_on_a_day_on_which_clocks_change_is_an_hour():
    hours = local("2024-03-31T00:00", "2024-03-31T01:00", "2024-03-31T03:00", "2024-03-31T04:00")
    spacing = spacing_of(series_at(hours, clock=BERLIN))
    assert spacing.frequency == Frequency("nanoseconds", HOUR) and spacing.numbers.tolist() == [0, 1, 2, 3]


def test_months_of_a_zone_begin_in_the_zone():
    months = local("2024-01-01", "2024-02-01", "2024-03-01", "2024-04-01", "2024-06-01", "2024-11-01")
    for clock in (BERLIN, Clock("+01:00", changing=True)):
        spacing = spacing_of(series_at(months, clock=clock))
        assert spacing.frequency == Frequency("months", 1)
        assert spacing.numbers.tolist() == [0, 1, 2, 3, 5, 10] and spacing.uneven == 0


def test_irregular_times_are_said():
    spacing = spacing_of(series_at(["2020-01-01T00:00:01", "2020-01-03T07:11", "2020-01-03T09:00", "2020-02-01"]))
    assert not spacing.regular and spacing.numbers.tolist() == [0, 1, 2, 3] and not len(spacing.gaps)
    assert spacing.note.startswith("Times are irregular: 33 % of the distances are whole multiples of the most common,")


def test_a_time_off_the_grid_is_counted():
    hours = [f"2020-01-01T{hour:02}:00" for hour in range(20)]
    spacing = spacing_of(series_at([*hours, "2020-01-01T20:10", "2020-01-01T22:10"]))
    assert spacing.regular and spacing.uneven == 1 and spacing.numbers.tolist()[-3:] == [19, 20, 22]
    assert spacing.note.endswith("; 1 distance is no whole multiple of it.")


def test_a_series_with_another_frequency_is_named():
    hours = [f"2020-01-01T{hour:02}:00" for hour in range(8)]
    spacing = spacing_of(series_at(hours, ["2020-01-01", "2020-01-02", "2020-01-03"]))
    assert spacing.sparse.tolist() == [1]
    assert spacing.note.endswith("; series 's1' never has two steps in a row, as with another frequency.")


def test_plain_numbers():
    whole = spacing_of(series_at(np.array([0, 10, 20, 50]), clock=Clock(scale=1, counts=True)))
    assert str(whole.frequency) == "10" and whole.numbers.tolist() == [0, 1, 2, 5]
    tenths = spacing_of(series_at(np.array([0, 1, 2]) * 10**8, clock=Clock(scale=10**9, counts=True)))
    assert str(tenths.frequency) == "0.1" and tenths.numbers.tolist() == [0, 1, 2]


def test_single_steps_have_no_frequency():
    spacing = spacing_of(series_at(["2020"], ["2021"], []))
    assert spacing.frequency is None and spacing.numbers.tolist() == [0, 0]


def test_a_given_frequency_is_used():
    times = series_at(["2020-01-01T00", "2020-01-01T02", "2020-01-01T04"])
    assert spacing_of(times, Frequency.of("h")).numbers.tolist() == [0, 2, 4]


@pytest.mark.parametrize(
    ("text", "frequency"),
    [
        ("h", Frequency("nanoseconds", HOUR)),
        ("15min", Frequency("nanoseconds", HOUR // 4)),
        ("2W", Frequency("nanoseconds", 14 * DAY)),
        ("M", Frequency("months", 1)),
        ("Q", Frequency("months", 3)),
        ("Y", Frequency("months", 12)),
        ("B", Frequency("weekdays", 1)),
    ],
)
def test_frequencies_by_symbol(text, frequency):
    assert Frequency.of(text) == frequency


@pytest.mark.parametrize("text", ["", "x", "0h", "2B", "h2", "1.5h"])
def test_what_is_no_frequency_is_refused(text):
    with pytest.raises(
        ArgumentError, match="freq is .*; it must be a unit of Y, Q, M, B, W, D, h, min, s, ms, us or ns"
    ):
        Frequency.of(text)


def test_series_without_times_are_refused():
    with pytest.raises(ArgumentError, match="series has no times"):
        spacing_of(SeriesSet(Origin("a", 1, ""), ["a"], np.array([0, 2]), {}))


@pytest.mark.parametrize(
    ("frequency", "start", "steps", "end"),
    [
        ("M", "2020-01-31", 1, "2020-02-29"),
        ("M", "2020-02-29", 1, "2020-03-31"),
        ("M", "2020-01-30", 1, "2020-02-29"),
        ("Q", "1999-11-15T06", 2, "2000-05-15T06"),
        ("Y", "2020-02-29", 1, "2021-02-28"),
        ("B", "2024-03-01T09", 1, "2024-03-04T09"),
        ("B", "2024-03-01", 6, "2024-03-11"),
        ("B", "2024-03-02", 1, "2024-03-04"),
        ("D", "2024-02-28", 2, "2024-03-01"),
        ("2h", "2024-02-28T23", 3, "2024-02-29T05"),
    ],
)
def test_the_time_some_steps_later(frequency, start, steps, end):
    after = Frequency.of(frequency).after(np.array([start], dtype="datetime64[ns]"), np.array([steps]), PLAIN)
    assert after[0] == np.datetime64(end)


def test_a_day_later_clocks_show_the_same_and_an_hour_later_another():
    noon = np.array(local("2024-03-30T12:00"), dtype="datetime64[ns]")
    day, hours = (Frequency.of(text).after(noon, np.array([1]), BERLIN) for text in ("D", "24h"))
    assert BERLIN.printed(day) == ["2024-03-31 12:00:00+02:00"]
    assert hours.tolist() == day.tolist()
    assert BERLIN.printed(Frequency.of("h").after(noon, np.array([24]), BERLIN)) == ["2024-03-31 13:00:00+02:00"]


frequencies = st.sampled_from(["Y", "Q", "M", "5M", "W", "D", "3D", "h", "15min", "s", "7ms"]).map(Frequency.of)
beginnings = st.datetimes(datetime(1900, 1, 1), datetime(2050, 1, 1)).map(
    lambda moment: moment.replace(day=min(moment.day, 28), microsecond=0)
)


@given(frequencies, st.lists(st.tuples(beginnings, st.sets(st.integers(1, 40), min_size=1, max_size=7)), min_size=1))
def test_steps_and_times_belong_together(frequency, series):
    """Times made by a frequency have it again, and the numbers of their steps."""
    times, numbers = [], []
    for beginning, steps in series:
        steps = np.array(sorted({0, *steps}))
        start = np.full(len(steps), np.datetime64(beginning, "ns"))
        times.append(frequency.after(start, steps, PLAIN))
        numbers += steps.tolist()
    spacing = spacing_of(series_at(*times), frequency)
    assert spacing.numbers.tolist() == numbers and spacing.uneven == 0


@given(st.integers(2, 30), st.sampled_from(["M", "Q", "Y", "W", "h", "15min", "s"]), beginnings)
def test_the_frequency_of_whole_series_is_known(length, text, beginning):
    frequency = Frequency.of(text)
    start = np.full(length + 3, np.datetime64(beginning, "ns"))
    times = frequency.after(start, np.arange(length + 3), PLAIN)
    inferred = spacing_of(series_at(times, times[: length // 2])).frequency
    assert inferred == frequency
