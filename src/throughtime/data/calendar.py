"""Seasons of a frequency, and the calendar as waves of day, week and year."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from throughtime.data.clock import MINUTE, Clock, Times
from throughtime.data.frequency import Frequency

Cycle = Literal["day", "week", "year"]

_DAY = 24 * 60 * MINUTE

_LENGTHS: dict[Cycle, float] = {"day": _DAY, "week": 7 * _DAY, "year": 365.2425 * _DAY}
"""Nanoseconds of each cycle."""

_WAVES: dict[Cycle, int] = {"day": 4, "week": 3, "year": 2}
"""Waves that tell the place in a cycle: the cycle itself, its half, its third, …"""

_MONTHS = 6
"""Waves of the year where a step is a month or more; they tell all twelve months apart."""

_LEAST_CYCLES = 2
"""Least cycles that the longest series must have, for their places to be read."""


def season_of(frequency: Frequency | None) -> int:
    """Return the usual season of a frequency, in steps.

    1 stands for none. It is the year of months and quarters, the week of days, the day of shorter steps down to five
    minutes, then the hour, then the minute.
    """
    if frequency is None or frequency.unit in ("numbers", "billionths"):
        return 1
    if frequency.unit == "months":
        return max(1, 12 // frequency.count)
    if frequency.unit == "weekdays":
        return 5
    if frequency.count >= 7 * _DAY:
        return max(1, round(_LENGTHS["year"] / frequency.count))
    if frequency.count >= _DAY:
        return max(1, 7 * _DAY // frequency.count)
    for longest in (_DAY, 60 * MINUTE, MINUTE):
        if longest // frequency.count <= 24 * 12 and longest > frequency.count:
            return longest // frequency.count
    return 1


def cycles_of(frequency: Frequency | None, times: Times | None, starts: NDArray[np.int64]) -> tuple[Cycle, ...]:
    """Return the cycles whose places are read.

    They are longer than a step, and come at least twice in the longest series.

    Args:
        frequency: of the series; None: none is read.
        times: [steps] of all series end to end.
        starts: [series + 1] the first step of each, and the number of steps.
    """
    if frequency is None or times is None or frequency.unit in ("numbers", "billionths"):
        return ()
    step = frequency.count if frequency.unit == "nanoseconds" else _DAY
    step = round(frequency.count * _LENGTHS["year"] / 12) if frequency.unit == "months" else step
    spans = times[starts[1:] - 1].astype(np.int64) - times[starts[:-1]].astype(np.int64)
    longest = int(spans.max())
    # A cycle of less than two steps says nothing.
    return tuple(
        name for name, length in _LENGTHS.items() if 2 * step <= length and _LEAST_CYCLES * length <= longest + step
    )


def calendar(times: Times, clock: Clock, cycles: Sequence[Cycle], frequency: Frequency) -> NDArray[np.float32]:
    """Return the places of times in cycles, by the clocks of their zone [n, waves].

    Args:
        times: [n] in UTC.
        clock: of the times.
        cycles: as `cycles_of` returned them.
        frequency: of the series.
    """
    local = clock.local(times)
    days, months = local.astype("datetime64[D]"), local.astype("datetime64[M]")
    years = local.astype("datetime64[Y]")
    waves: list[NDArray[np.float64]] = []
    for cycle in cycles:
        if cycle == "day":
            share, count = (local - days).astype(np.int64) / _DAY, _WAVES["day"]
        elif cycle == "week":
            share, count = ((local.astype(np.int64) / _DAY - 4) % 7) / 7, _WAVES["week"]  # 1970-01-05 was a Monday
        elif frequency.unit == "months":
            share, count = (months - years.astype("datetime64[M]")).astype(np.int64) / 12, _MONTHS
        else:
            share, count = (local - years).astype(np.int64) / _LENGTHS["year"], _WAVES["year"]
        for number in range(1, count + 1):
            waves += [np.sin(2 * np.pi * number * share), np.cos(2 * np.pi * number * share)]
    return np.stack([*waves], axis=1).astype(np.float32) if waves else np.zeros((len(times), 0), dtype=np.float32)
