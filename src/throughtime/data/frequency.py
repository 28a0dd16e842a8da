"""Frequency: the time between the steps of series, and where steps are missing."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from throughtime.data.clock import MINUTE, Clock, Times
from throughtime.data.series import SeriesSet
from throughtime.errors import ArgumentError
from throughtime.wording import listed, percent, plural, singular_noun

Unit = Literal["months", "weekdays", "nanoseconds", "numbers", "billionths"]

_DAY = 24 * 60 * MINUTE

_FIXED = {
    "weeks": 7 * _DAY,
    "days": _DAY,
    "hours": 60 * MINUTE,
    "minutes": MINUTE,
    "seconds": 10**9,
    "milliseconds": 10**6,
    "microseconds": 10**3,
    "nanoseconds": 1,
}
"""Nanoseconds of each unit that has always as many, the longest first."""

_SYMBOLS: dict[str, tuple[Unit, int]] = {
    "Y": ("months", 12),
    "Q": ("months", 3),
    "M": ("months", 1),
    "B": ("weekdays", 1),
    **{
        symbol: ("nanoseconds", length)
        for symbol, length in zip(("W", "D", "h", "min", "s", "ms", "us", "ns"), _FIXED.values(), strict=True)
    },
}
"""Units by their symbols, as `Frequency.of` takes them."""

_SLACK = 2 * 60 * MINUTE
"""Most by which a change of clocks moves a step of whole days, in nanoseconds."""

_REGULAR = 0.9
"""Least share of the distances that are whole multiples of the step, for times to be regular."""

_NONE = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class Frequency:
    """Time from a step to the next.

    Attributes:
        unit: of `count`: months of the calendar, days from Monday to Friday, nanoseconds; for times that are plain
            numbers, see `Clock.counts`, these, or their billionths.
        count: how many units.
    """

    unit: Unit
    count: int

    @staticmethod
    def of(text: str) -> "Frequency":
        """Return the frequency of a text such as "15min".

        Units are "Y", "Q", "M", "W", "B" (Monday to Friday), "D", "h", "min", "s", "ms", "us" and "ns".

        Raises:
            ArgumentError: the text is no number with a unit.
        """
        digits = len(text) - len(text.lstrip("0123456789"))
        count = int(text[:digits] or 1)
        unit, length = _SYMBOLS.get(text[digits:], ("nanoseconds", 0))
        if not count * length or (unit == "weekdays" and count > 1):
            units = listed(_SYMBOLS, "or")
            raise ArgumentError(
                "freq", f"is {text!r}", f"it must be a unit of {units}, perhaps after a number", "give 15min"
            )
        return Frequency(unit, count * length)

    def __str__(self) -> str:
        if self.unit == "weekdays":
            return "a day from Monday to Friday"
        if self.unit == "months":
            unit, length = next(
                pair for pair in (("years", 12), ("quarters", 3), ("months", 1)) if not self.count % pair[1]
            )
        elif self.unit == "nanoseconds":
            unit, length = next(pair for pair in _FIXED.items() if not self.count % pair[1])
        else:
            return f"{self.count / (1 if self.unit == 'numbers' else 10**9):g}"
        count = self.count // length
        return f"{count:,} {unit}" if count > 1 else f"{'an' if unit == 'hours' else 'a'} {singular_noun(unit)}"

    def after(self, times: Times, steps: NDArray[np.int64], clock: Clock) -> Times:
        """Return the times some steps later.

        Steps of months and of whole days keep the time of the day in the zone of the times. A day that a month lacks
        becomes its last; from the last day of a month, steps of months lead to last days.

        Args:
            times: [n] in UTC.
            steps: [n] how many steps later, not negative.
            clock: of the times.
        """
        if self.unit == "months":
            return clock.utc(_months_later(clock.local(times), steps * self.count))
        if self.unit == "weekdays":
            local = clock.local(times)
            days = local.astype("datetime64[D]")
            later = np.busday_offset(days, steps, roll="backward")
            return clock.utc(later.astype("datetime64[ns]") + (local - days))
        if self.unit == "nanoseconds" and self.count % _DAY == 0:
            return clock.utc(clock.local(times) + (steps * self.count).astype("timedelta64[ns]"))
        return times + (steps * self.count).astype("timedelta64[ns]")

    def distances(self, times: Times, clock: Clock) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the steps from each time to the next.

        Args:
            times: [n] in UTC.
            clock: of the times.

        Returns:
            The steps [n - 1], rounded, and whether they are whole.
        """
        if self.unit == "months":
            local = _civil(times, clock)
            steps, rest = np.divmod(np.diff(_months(local)), self.count)
            return steps + (2 * rest >= self.count), (rest == 0) & (steps > 0) & _same_day(local[:-1], local[1:])
        if self.unit == "weekdays":
            days = _civil(times, clock).astype("datetime64[D]")
            working = np.is_busday(days)
            steps = np.busday_count(days[:-1], days[1:])
            return steps, working[1:] & working[:-1] & (steps > 0)
        steps, rest = np.divmod(np.diff(times.astype(np.int64)), self.count)
        late = 2 * rest >= self.count
        slack = _SLACK if clock.changing and self.count % _DAY == 0 else 0
        return steps + late, (np.where(late, self.count - rest, rest) <= slack) & (steps + late > 0)


@dataclass(frozen=True)
class Spacing:
    """Distances between the steps of series in time.

    Attributes:
        frequency: the most common distance, or the given one; None where no series has two steps.
        regular: whether nine distances in ten are whole multiples of it.
        numbers: [steps] the number of each step, counted from 0 at the first of its series; where the times are not
            regular, the place in the series.
        gaps: [gaps] the steps before which others are missing.
        missing: how many steps are missing in all gaps.
        uneven: how many distances are no whole multiple of the frequency.
        sparse: [series] the series of three and more steps that never have two steps in a row.
        note: the above in words.
    """

    frequency: Frequency | None
    regular: bool
    numbers: NDArray[np.int64]
    gaps: NDArray[np.int64]
    missing: int
    uneven: int
    sparse: NDArray[np.int64]
    note: str


def spacing_of(series: SeriesSet, frequency: Frequency | None = None) -> Spacing:
    """Return how the steps of series lie in time.

    The frequency is the most common distance over all series: months of the calendar where no series has two steps in
    a month, days from Monday to Friday where no step lies at a weekend, else a fixed time.

    Args:
        series: series with times in order.
        frequency: the frequency, where it is known.

    Raises:
        ArgumentError: `series` has no times.
    """
    if series.times is None or series.clock is None:
        raise ArgumentError("series", "has no times", "a frequency needs them", "name the column of the times")
    places = np.arange(series.steps) - np.repeat(series.starts[:-1], series.lengths)
    inside = places[1:] > 0
    if not inside.any():
        note = "No series has two steps, so that no frequency is known."
        return Spacing(frequency, True, places, _NONE, 0, 0, _NONE, note)
    frequency = frequency or _inferred(series.times, inside, series.clock)
    steps, whole = frequency.distances(series.times, series.clock)
    steps, uneven = np.where(inside, np.maximum(steps, 1), 0), int((inside & ~whole).sum())
    if uneven > (1 - _REGULAR) * inside.sum():
        share = percent(1 - uneven / inside.sum())
        note = (
            f"Times are irregular: {share} of the distances are whole multiples of the most common, {frequency}; "
            "steps are counted by rows, and no gap is seen."
        )
        return Spacing(frequency, False, places, _NONE, 0, uneven, _NONE, note)
    return _regular(series, frequency, np.concatenate([[0], steps]), uneven)


def _regular(series: SeriesSet, frequency: Frequency, steps: NDArray[np.int64], uneven: int) -> Spacing:
    totals = np.cumsum(steps)
    firsts = np.minimum(series.starts[:-1], series.steps - 1)
    numbers = totals - np.repeat(totals[firsts], series.lengths)
    gaps = np.flatnonzero(steps > 1)
    in_a_row = np.concatenate([[0], np.cumsum(steps == 1)])
    alone = in_a_row[series.starts[1:]] == in_a_row[series.starts[:-1]]
    sparse = np.flatnonzero(alone & (series.lengths > 2))
    missing = int((steps[gaps] - 1).sum())
    parts = [f"A step is {frequency}"]
    if len(gaps):
        parts.append(
            f"{plural(missing, 'step')} {'is' if missing == 1 else 'are'} missing in {plural(len(gaps), 'gap')}"
        )
    if uneven:
        parts.append(f"{plural(uneven, 'distance')} {'is' if uneven == 1 else 'are'} no whole multiple of it")
    if len(sparse):
        named = f"series {series.ids[int(sparse[0])]!r}" + (f" and {len(sparse) - 1} more" if len(sparse) > 1 else "")
        parts.append(
            f"{named} never {'have' if len(sparse) > 1 else 'has'} two steps in a row, as with another frequency"
        )
    return Spacing(frequency, True, numbers, gaps, missing, uneven, sparse, "; ".join(parts) + ".")


def _inferred(times: Times, inside: NDArray[np.bool_], clock: Clock) -> Frequency:
    distances = np.diff(times.astype(np.int64))[inside]
    if clock.counts:
        return Frequency("numbers" if clock.scale == 1 else "billionths", int(_most_common(distances)))
    civil = _civil(times, clock)
    months = np.diff(_months(civil))[inside]
    if (months > 0).all():
        frequency = Frequency("months", int(_most_common(months)))
        if frequency.distances(times, clock)[1][inside].mean() >= _REGULAR:
            return frequency
    if clock.changing:
        days = (distances + _SLACK) // _DAY * _DAY
        distances = np.where((days > 0) & (np.abs(distances - days) <= _SLACK), days, distances)
    ticks = int(_most_common(distances))
    days = civil.astype("datetime64[D]")
    weekends = np.diff(days).astype(np.int64) > np.busday_count(days[:-1], days[1:])
    if ticks == _DAY and weekends[inside].any() and np.is_busday(days).all():
        return Frequency("weekdays", 1)
    return Frequency("nanoseconds", ticks)


def _civil(times: Times, clock: Clock) -> Times:
    """Return what clocks on the wall showed, where the days of the calendar count.

    Where offsets differ and no zone is named, the offset of each time is not known any more; midnights are then within
    the slack before a day, and come to lie on it.
    """
    local = clock.local(times)
    if clock.changing and clock.zone[0] in "+-Z":
        return (local + np.timedelta64(_SLACK, "ns")).astype("datetime64[D]").astype("datetime64[ns]")
    return local


def _most_common(distances: NDArray[np.int64]) -> np.int64:
    """Return the most common of some distances, the smallest of several."""
    values, counts = np.unique(distances, return_counts=True)
    return values[np.argmax(counts)]


def _months(local: Times) -> NDArray[np.int64]:
    return local.astype("datetime64[M]").astype(np.int64)


def _days(local: Times) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the days of the month, counted from 0, and the numbers of days of the months."""
    months = local.astype("datetime64[M]")
    firsts = months.astype("datetime64[D]")
    lengths = (months + 1).astype("datetime64[D]") - firsts
    return (local.astype("datetime64[D]") - firsts).astype(np.int64), lengths.astype(np.int64)


def _same_day(local: Times, others: Times) -> NDArray[np.bool_]:
    """Return whether times are a whole number of months apart; the last day of a short month counts as any later."""
    (day, length), (other, other_length) = _days(local), _days(others)
    short = (day + 1 == length) & (other > day) | (other + 1 == other_length) & (day > other)
    return (local - local.astype("datetime64[D]") == others - others.astype("datetime64[D]")) & ((day == other) | short)


def _months_later(local: Times, months: NDArray[np.int64]) -> Times:
    day, length = _days(local)
    first = (local.astype("datetime64[M]") + months).astype("datetime64[D]")
    last = _days(first)[1] - 1
    return first + np.where(day + 1 == length, last, np.minimum(day, last)) + (local - local.astype("datetime64[D]"))
