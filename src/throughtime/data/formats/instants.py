"""Points in time written as text, and times at equal steps."""

import re

import numpy as np
from numpy.typing import NDArray

FIRST_YEAR, LAST_YEAR = 1678, 2261
"""Years that nanoseconds in 64 bits can hold in full."""

_WRITTEN = re.compile(r"(\d{4})-(\d\d)(?:-(\d\d)(?:[ T](\d\d)[:-](\d\d)(?:[:-](\d\d)(\.\d{1,9})?)?)?)?")


def instant_of(text: str) -> np.datetime64 | None:
    """Return the time in a text such as "1990-01-31 14:30:00"; None for any other text.

    The date is enough, and so are the year and the month. Between hours, minutes and seconds there may be hyphens. A
    year that `datetime64[ns]` cannot hold comes back in coarser units: see `fits`.
    """
    written = _WRITTEN.fullmatch(text.strip())
    if written is None:
        return None
    year, month, day, hour, minute, second, fraction = written.groups()
    try:
        moment = np.datetime64(f"{year}-{month}-{day or '01'}T{hour or '00'}:{minute or '00'}:{second or '00'}", "s")
    except ValueError:  # no such day or hour
        return None
    if not fits(moment):
        return moment
    return moment.astype("datetime64[ns]") + np.timedelta64(int(f"{(fraction or '.')[1:]:0<9}"), "ns")


def fits(moment: np.datetime64) -> bool:
    """Return whether `datetime64[ns]` can hold a time."""
    year = int(moment.astype("datetime64[Y]").astype(np.int64)) + 1970
    return FIRST_YEAR <= year <= LAST_YEAR


def count_from(start: np.datetime64, step: np.timedelta64, steps: int) -> NDArray[np.datetime64] | None:
    """Return the times [steps] at equal steps from a first one, in nanoseconds.

    Steps of months keep the day of the month, or take the last day of a month that is too short for it.

    Returns:
        The times; None where `datetime64[ns]` cannot hold them all.
    """
    seconds = start.astype("datetime64[s]")
    if not fits(seconds):
        return None
    if np.datetime_data(step.dtype)[0] == "M":
        times = _count_months(seconds, int(step.astype(np.int64)), steps)
    else:
        times = seconds + np.arange(steps) * step.astype("timedelta64[s]")
    if steps and not fits(times[-1]):
        return None
    return times.astype("datetime64[ns]") + (start - seconds)


def _count_months(start: np.datetime64, step: int, steps: int) -> NDArray[np.datetime64]:
    month, day = start.astype("datetime64[M]"), start.astype("datetime64[D]")
    days_before = int((day - month.astype("datetime64[D]")).astype(np.int64))
    months = month + np.arange(steps) * np.timedelta64(step, "M")
    firsts = months.astype("datetime64[D]")
    lengths = ((months + 1).astype("datetime64[D]") - firsts).astype(np.int64)
    days = firsts + np.minimum(days_before, lengths - 1)
    return days.astype("datetime64[s]") + (start - day)
