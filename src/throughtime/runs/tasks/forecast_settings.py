"""Options of forecasts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from throughtime.errors import ArgumentError
from throughtime.runs.options import option
from throughtime.runs.tasks.series_settings import DistributionSettings, names_in


@dataclass(frozen=True)
class ForecastSettings(DistributionSettings):
    """Options of forecasts, beside those of all series."""

    ahead: int = option(
        0, "Steps to forecast; 0: a season, or 10 steps, as far as the series are long enough.", least=0, online=False
    )
    levels: str = option("0.1,0.5,0.9", "Quantiles to forecast, above 0 and below 1, by commas.", online=False)
    known: str = option("", "Columns known ahead, such as holidays, separated by commas.", online=False)
    past: str = option("", "Columns known up to the present only, as are all without a role.", online=False)
    scale: Literal["auto", "none", "global", "series"] = option(
        "auto",
        "What targets are divided by. none: nothing; global: the typical change of all series; series: that of each "
        "series so far; auto: series where there are several, else global.",
        online=False,
    )
    transform: Literal["auto", "none", "log"] = option(
        "auto",
        "How targets are read. none: as they are; log: as logarithms, so that changes are shares; auto: log where "
        "changes grow with the level.",
        online=False,
    )
    around: Literal["auto", "nothing", "last", "season", "moved", "linear"] = option(
        "auto",
        "What forecasts depart from. nothing: a mean; last: the last value; season: the value a season before; "
        "moved: this and the change over the last season; linear: a linear forecast from the latest changes; auto: the "
        "best of them in the training part.",
        online=False,
    )
    season: int = option(
        0, "Steps of a season; 1: none; 0: by the frequency, such as 12 of months, 24 of hours.", least=0, online=False
    )
    freq: str = option(
        "", "Time from a step to the next, such as 15min, h, D or M. Default: from the data.", online=False
    )
    calendar: bool = option(
        True, "Read the time of the day, the day of the week and the time of the year, as known ahead.", online=False
    )

    def roles(self) -> Mapping[str, Any]:
        """Return the roles of columns that only forecasts have, with the names."""
        return {"known": names_in(self.known), "past": names_in(self.past)}

    @property
    def wanted_levels(self) -> tuple[float, ...]:
        """Levels of the quantiles, in order.

        Raises:
            ArgumentError: a level is no number above 0 and below 1.
        """
        levels = set()
        for text in names_in(self.levels):
            try:
                level = float(text)
            except ValueError:
                level = -1.0
            if not 0 < level < 1:
                raise ArgumentError("levels", f"is {self.levels}", "they must be numbers above 0 and below 1")
            levels.add(level)
        if not levels:
            raise ArgumentError("levels", "is empty", "it takes at least one", "give 0.1,0.5,0.9")
        return tuple(sorted(levels))
