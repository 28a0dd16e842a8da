"""Clocks: how times are printed, and where the days of their zone begin."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from throughtime.data.columns import spelled

Times = NDArray[np.datetime64]
"""Instants [any shape] in UTC, as datetime64[ns]."""

Precision = Literal["Y", "M", "D", "h", "m", "s", "ms", "us", "ns"]
"""NumPy's name of the last unit of a time that is printed."""

MINUTE = 60_000_000_000
"""Nanoseconds of a minute."""


@dataclass(frozen=True)
class Clock:
    """Way in which times came, and are printed again.

    Attributes:
        zone: a name such as "Europe/Berlin", an offset such as "+01:00", "Z", or "" where times came without a zone.
        precision: the last unit that is printed.
        separator: what stands between the date and the time of the day.
        changing: whether the offsets of the times differed, as they do where clocks change.
        scale: nanoseconds of a unit, where the times came as numbers; 0 where they came as text.
        counts: whether the numbers are no dates, but count steps or measure from any beginning.
    """

    zone: str = ""
    precision: Precision = "s"
    separator: str = " "
    changing: bool = False
    scale: int = 0
    counts: bool = False

    def local(self, times: Times) -> Times:
        """Return what clocks on the wall showed at instants."""
        return times + self._offsets(times, lambda moment, zone: moment.replace(tzinfo=UTC).astimezone(zone))

    def utc(self, local: Times) -> Times:
        """Return the instants at which clocks on the wall showed some times.

        Of an hour that comes twice it is the first; a time that a change of clocks leaves out counts as the clocks
        before the change would show it.
        """
        return local - self._offsets(local, lambda moment, zone: moment.replace(tzinfo=zone))

    def printed(self, times: Times) -> list[str]:
        """Return times [n] as text, in the form in which they came."""
        if self.scale:
            return [_number(int(tick), self.scale) for tick in times.astype(np.int64)]
        local = self.local(times)
        texts = np.datetime_as_string(local, unit=self.precision)
        suffixes = [self.zone] * len(times)
        if self.zone and self.zone[0] not in "+-Z":
            suffixes = [offset_text(int(offset) // MINUTE) for offset in (local - times).astype(np.int64)]
        return [str(text).replace("T", self.separator) + end for text, end in zip(texts, suffixes, strict=True)]

    def _offsets(self, times: Times, placed: Callable[[datetime, ZoneInfo], datetime]) -> NDArray[np.timedelta64]:
        if self.zone in ("", "Z"):
            return np.zeros(times.shape, dtype="timedelta64[ns]")
        if self.zone[0] in "+-":
            return np.full(times.shape, np.timedelta64(minutes_of(self.zone) * MINUTE, "ns"))
        zone = ZoneInfo(self.zone)
        distinct, places = np.unique(times.astype("datetime64[s]"), return_inverse=True)
        offsets = [placed(moment, zone).utcoffset() for moment in distinct.tolist()]
        return np.array(offsets, dtype="timedelta64[s]").astype("timedelta64[ns]")[places].reshape(times.shape)


def minutes_of(offset: str) -> int:
    """Return the minutes of an offset from UTC, such as 90 for "+01:30"."""
    if offset in ("Z", "UTC"):
        return 0
    digits = offset[1:].replace(":", "").ljust(4, "0")
    return int(f"{offset[0]}1") * (60 * int(digits[:2]) + int(digits[2:]))


def offset_text(minutes: int) -> str:
    """Return an offset from UTC as text, such as "+01:30"."""
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02}:{rest:02}"


def _number(tick: int, scale: int) -> str:
    whole, rest = divmod(tick, scale)
    return str(whole) if not rest else spelled(tick / scale)
