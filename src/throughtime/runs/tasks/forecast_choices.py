"""Choices of a forecast that are left open, made from the data, with the reasons."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from throughtime.errors import InputFileError
from throughtime.runs.tasks.forecast_settings import ForecastSettings
from throughtime.runs.tasks.series_settings import names_in
from throughtime.wording import listed, plural

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from throughtime.data.frequency import Frequency
    from throughtime.data.past import Around, Places
    from throughtime.data.series import SeriesSet

_USUAL = 10
"""Steps that are forecast where there is no season, and the series are long enough."""

_PARTS = 5
"""Times that the forecast must fit into a usual series, where its length is chosen."""


def target_names(series: SeriesSet, given: ForecastSettings) -> tuple[str, ...]:
    """Return the names of the targets.

    They are those of the settings, or the single column of numbers.

    Raises:
        InputFileError: there is no such column, or it holds words.
    """
    from throughtime.data.columns import Numbers

    taken = {*names_in(given.known), *names_in(given.past)}
    numbers = [name for name, column in series.columns.items() if isinstance(column, Numbers) and name not in taken]
    names = names_in(given.target) or tuple(numbers[:1] if len(numbers) == 1 else ())
    if not names:
        raise InputFileError(
            f"{series.origin.name} has {plural(len(numbers), 'column')} of numbers, {listed(numbers)}: name those to "
            "forecast in `target`."
        )
    for name in names:
        if name not in series.columns:
            raise InputFileError(
                f"{series.origin.name} has no column {name} to forecast; the columns are {listed(series.columns)}: "
                "name one of them in `target`."
            )
        if not isinstance(series.columns[name], Numbers):
            raise InputFileError(
                f"The target {name} holds words, and a forecast is of numbers: take the task label, or name another."
            )
    return names


def with_lengths(series: SeriesSet, given: ForecastSettings) -> tuple[ForecastSettings, list[str]]:
    """Return the settings with target, season and steps ahead, and the reasons."""
    from throughtime.data.calendar import season_of

    frequency, notes = frequency_of(series, given)
    longest = int(series.lengths.max())
    season = given.season or season_of(frequency)
    if not given.season:
        usual = f"A season has {plural(season, 'step')}"
        if 2 * season > longest:
            notes.append(f"{usual}, but the longest series has {longest:,}: no season is read.")
            season = 1
        elif season > 1:
            notes.append(f"{usual}, as is usual where a step is {frequency}.")
    ahead = given.ahead
    if not ahead:
        usual_length = sorted(series.lengths.tolist())[len(series) // 2]
        wanted, why = (season, "a season") if season > 1 else (_USUAL, "the usual number")
        ahead = max(1, min(wanted, usual_length // _PARTS))
        why = why if ahead == wanted else f"a fifth of a usual series of {plural(usual_length, 'step')}"
        notes.append(f"Forecasts are of {plural(ahead, 'step')}, {why}.")
    if ahead >= longest:
        raise InputFileError(
            f"The longest series has {plural(longest, 'step')}, so {plural(ahead, 'step')} cannot be forecast: give a "
            "smaller `ahead`, or longer series."
        )
    return replace(given, target=",".join(target_names(series, given)), season=season, ahead=ahead), notes


def frequency_of(series: SeriesSet, given: ForecastSettings) -> tuple[Frequency | None, list[str]]:
    """Return the frequency of series, and a note.

    It is None without times, or where these are irregular.
    """
    from throughtime.data.frequency import Frequency, spacing_of

    asked = Frequency.of(given.freq) if given.freq else None
    if series.times is None:
        return None, []
    spacing = spacing_of(series, asked)
    return (spacing.frequency if spacing.regular else None), [spacing.note]


def gaps_of(series: SeriesSet, frequency: Frequency | None) -> NDArray[np.int64] | None:
    """Return the steps before which others are missing in time."""
    from throughtime.data.frequency import spacing_of

    return None if series.times is None or frequency is None else spacing_of(series, frequency).gaps


def best_around(
    values: NDArray[np.float64], places: Places, season: int, ahead: int, linear: float | None
) -> tuple[Around, str]:
    """Return what forecasts depart from, and why: the best simple forecast of the training part.

    Args:
        values: [steps, targets], NaN where missing.
        places: of the steps.
        season: steps of a season.
        ahead: steps of a forecast.
        linear: the error of linear forecasts, in spreads; None where there are none.
    """
    errors: dict[Around, float] = {}
    names: dict[Around, str] = {
        "nothing": "the mean so far",
        "last": "the last value",
        "season": "the season before",
        "moved": "the season before with its change",
    }
    for around in names:
        if around in ("nothing", "last") or season > 1:
            errors[around] = _naive_error(values, places, around, season, ahead)
    if linear is not None:
        errors["linear"], names["linear"] = linear, "a linear forecast from the latest changes"
    best = min(errors, key=lambda around: errors[around])
    said = ", ".join(f"{names[around]} {error:.3g}" for around, error in errors.items())
    return best, f"Forecasts depart from {names[best]}, with the least error in the training part ({said})."


def _naive_error(values: NDArray[np.float64], places: Places, around: Around, season: int, ahead: int) -> float:
    """Return the mean error of a naive forecast at the first, the middle and the last step ahead, in spreads."""
    import numpy as np

    from throughtime.data.past import departures, lagged_departures, moved_departures

    spread = np.nanstd(values, axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    if around == "nothing":
        away = [departures(values, places, around, season)]
    else:
        steps = sorted({1, (ahead + 1) // 2, ahead})
        lags = [step if around == "last" else season * -(-step // season) for step in steps]
        away = [lagged_departures(values, places, lag) for lag in lags]
        if around == "moved":
            away = [moved_departures(values, places, season, step) for step in steps]
    sizes = np.concatenate([np.abs(each / spread).ravel() for each in away])
    present = sizes[~np.isnan(sizes)]
    return float(present.mean()) if len(present) else float("inf")
