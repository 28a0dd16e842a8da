"""How forecasts read series: targets and their past, columns, what is known ahead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self, cast

from throughtime.data.calendar import Cycle
from throughtime.data.encoding import Encoding
from throughtime.data.frequency import Frequency
from throughtime.data.linear_past import LinearPast
from throughtime.data.past import TargetScale
from throughtime.errors import InputFileError
from throughtime.runs.tasks.forecast_choices import best_around, frequency_of, gaps_of, target_names
from throughtime.runs.tasks.forecast_distributions import KINDS
from throughtime.runs.tasks.forecast_settings import ForecastSettings
from throughtime.runs.tasks.reading import read_columns
from throughtime.runs.tasks.series_settings import names_in
from throughtime.wording import listed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from throughtime.data.clock import Clock
    from throughtime.data.columns import Numbers
    from throughtime.data.forecast_arrays import ForecastArrays
    from throughtime.data.past import Around, Past, Places
    from throughtime.data.series import SeriesSet
    from throughtime.runs.tasks.base import Stamps


@dataclass(frozen=True)
class ForecastReading:
    """How series are read for forecasts, fitted to the training part.

    Attributes:
        targets: what is forecast, with the scales.
        encoding: of the columns that are read at each step, other than the targets.
        ahead: of the columns that are known ahead.
        cycles: of the calendar, known ahead.
        frequency: of the steps; None where times are missing or irregular.
        linear: the linear forecasts that others depart from; None where they depart from something else.
    """

    targets: tuple[TargetScale, ...]
    encoding: Encoding
    ahead: Encoding
    cycles: tuple[Cycle, ...] = ()
    frequency: Frequency | None = None
    linear: LinearPast | None = None

    @classmethod
    def fit(cls, training: SeriesSet, given: ForecastSettings) -> tuple[Self, ForecastSettings, list[str]]:
        """Return how series are read, settings with all choices made, and their reasons."""
        import numpy as np

        from throughtime.data.calendar import cycles_of
        from throughtime.data.past import Places

        frequency = frequency_of(training, given)[0]
        names, columns = target_names(training, given), read_columns(training)
        numbers = [cast("Numbers", training.columns[name]) for name in names]
        if KINDS[given.distribution].of_counts:
            _check_counts(dict(zip(names, numbers, strict=True)), given.distribution)
        places = Places.of(training.starts, gaps_of(training, frequency))
        reasons: list[str] = []
        logs = [_reads_logs(name, column, places, given) for name, column in zip(names, numbers, strict=True)]
        if given.transform == "auto" and any(logs):
            of = listed(name for name, log in zip(names, logs, strict=True) if log)
            reasons.append(f"Logarithms are read of {of}, as changes grow with the level.")
        around: Around = "zero" if KINDS[given.distribution].of_counts else "nothing"
        scale = given.scale
        if scale == "auto":
            scale = "series" if len(training) > 1 else "global"
            of_all = "of each series so far, since there are several" if len(training) > 1 else "of the training part"
            reasons.append(f"Targets are scaled by the typical change {of_all}.")
        columns_of = list(zip(names, numbers, logs, strict=True))
        fitted = None
        if given.around in ("auto", "linear") and around != "zero":
            fitted = _linear(columns_of, places, replace(given, scale=scale))
        if given.around == "linear" and fitted is None:
            raise InputFileError(
                f"{training.origin.name} has too few steps for linear forecasts: take another `around`, such as auto."
            )
        if given.around != "auto":
            around = given.around
        elif around != "zero":
            read = [np.log(column.values) if log else column.values for column, log in zip(numbers, logs, strict=True)]
            around, reason = best_around(
                np.stack(read, axis=1), places, given.season, given.ahead, fitted and fitted[1]
            )
            reasons.append(reason)
        cycles = cycles_of(frequency, training.times, training.starts) if given.calendar else ()
        if cycles:
            reasons.append(f"The time of the {', the '.join(cycles)} is read as known ahead.")
        reading = cls(
            tuple(
                TargetScale.fit(name, column, places, around, given.season, log=log) for name, column, log in columns_of
            ),
            Encoding.fit(columns, [name for name in columns if name not in names]),
            Encoding.fit(columns, names_in(given.known)),
            cycles,
            frequency,
            fitted[0] if fitted is not None and around == "linear" else None,
        )
        chosen = around if around != "zero" else given.around
        return reading, replace(given, around=chosen, scale=scale), reasons

    @property
    def width(self) -> int:
        """Number of places that are read at each step."""
        return self.encoding.width + sum(self._places_of(target) for target in self.targets)

    def _places_of(self, target: TargetScale) -> int:
        return 4 - (self.linear is not None) + target.gaps

    def known_width(self, given: ForecastSettings) -> int:
        """Return the number of places that are known of each step ahead."""
        return self.ahead.width + waves_of(self.cycles, self.frequency) + (given.season > 1) * len(self.targets)

    def arrays(
        self, series: SeriesSet, given: ForecastSettings, seed: int | None = None, *, asked: bool = False
    ) -> ForecastArrays:
        """Return the series as cut-offs with the steps ahead of them.

        Args:
            series: with the columns of the training part.
            given: the settings, with all choices made.
            seed: for the training part, of the words that are read as unknown; None: all are read as they are.
            asked: forecasts are made after the last target of each series alone, and none is read.

        Raises:
            InputFileError: a column is missing, or a series has no target to forecast from.
        """
        import numpy as np

        from throughtime.data.forecast_arrays import ForecastArrays
        from throughtime.data.past import Places, past_of, read_as

        breaks = gaps_of(series, self.frequency)
        places = Places.of(series.starts, breaks)
        came = self._values(series)
        values = read_as(came, list(self.targets))
        around = self._around(given)
        past = past_of(came, places, list(self.targets), around, given.season, cast(Any, given.scale))
        columns, chance = read_columns(series), None if seed is None else np.random.default_rng(seed)
        read = self.encoding.read(columns, series.steps, chance)
        counts = ~np.isnan(values) & series.scored[:, None]
        cutoffs = self._last_targets(series, values) if asked else _made_at(series)
        if asked:
            self._check_known(series, columns, np.flatnonzero(cutoffs), given.ahead)
        return ForecastArrays(
            np.concatenate([self._past_inputs(values, past, given), read], axis=1),
            values,
            series.starts,
            breaks=breaks,
            ahead=given.ahead,
            past=past,
            around=around,
            season=given.season,
            center=self._center(given),
            counts=counts,
            cutoffs=cutoffs,
            known=self._known(series, given.ahead, columns),
            logs=np.array([target.log for target in self.targets]),
            linear=self.linear,
            asked=asked,
        )

    def _around(self, given: ForecastSettings) -> Around:
        return "zero" if KINDS[given.distribution].of_counts else cast("Around", given.around)

    def _center(self, given: ForecastSettings) -> NDArray[np.float64] | None:
        import numpy as np

        if self._around(given) == "zero" or given.scale == "none":
            return np.zeros(len(self.targets))
        return None if given.scale == "series" else np.array([target.mean for target in self.targets])

    def _values(self, series: SeriesSet) -> NDArray[np.float64]:
        """Return the targets [steps, targets]."""
        import numpy as np

        from throughtime.data.columns import Numbers

        for target in self.targets:
            if not isinstance(series.columns.get(target.name), Numbers):
                came = "holds words" if target.name in series.columns else "is missing"
                raise InputFileError(
                    f"{series.origin.name}: the column {target.name} {came}; forecasts are made from its past."
                )
        values = np.stack([cast("Numbers", series.columns[target.name]).values for target in self.targets], axis=1)
        for number, target in enumerate(self.targets):
            if target.log and (values[:, number] <= 0).any():
                step = int(np.argmax(values[:, number] <= 0))
                raise InputFileError(
                    f"{series.origin.name}: the target {target.name} is {values[step, number]:g} in the series "
                    f"{series.ids[int(series.of_step[step])]!r}, and the model reads logarithms, as all values of its "
                    "training part were above 0: train with `transform` none."
                )
        return values

    def _past_inputs(self, values: NDArray[np.float64], past: Past, given: ForecastSettings) -> NDArray[np.float32]:
        """Return what is read of the targets at each step: their level, and the changes over a step and a season."""
        import numpy as np

        at, pieces = np.arange(len(values)), []
        for number, target in enumerate(self.targets):
            last, scale = past.last[:, number], past.scale[:, number]
            level = (
                (last - past.mean[:, number]) / scale
                if given.scale == "series"
                else (last - target.mean) / target.spread
            )
            changes = [(last - past.lagged(at, lag)[:, number]) / scale for lag in (1, given.season)]
            changes.append(past.season_change(given.season)[:, number] / scale)
            gaps = [np.isnan(values[:, number])] if target.gaps else []
            # Beside a linear forecast changes tell enough; a level that grows would leave what training saw.
            levels = [level] if self.linear is None else []
            pieces += [*levels, *changes, *gaps]
        return np.stack(pieces, axis=1).astype(np.float32)

    def _last_targets(self, series: SeriesSet, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return whether each step is the last of its series with a target.

        Raises:
            InputFileError: a series has no target.
        """
        import numpy as np

        observed = ~np.isnan(values).all(axis=1)
        cutoffs = np.zeros(series.steps, dtype=np.bool_)
        latest = np.maximum.accumulate(np.where(observed, np.arange(series.steps), -1))[series.starts[1:] - 1]
        without = latest < series.starts[:-1]
        if without.any():
            raise InputFileError(
                f"{series.origin.name}: the series {series.ids[int(np.argmax(without))]!r} has no value of "
                f"{self.targets[0].name}, so there is no past to forecast from: leave it out, or give its past."
            )
        cutoffs[latest] = True
        return cutoffs

    def _check_known(
        self, series: SeriesSet, columns: Mapping[str, Any], cutoffs: NDArray[np.int64], ahead: int
    ) -> None:
        """Raise `InputFileError` where what is known ahead is missing for a step after a cut-off."""
        import numpy as np

        if not self.ahead.features:
            return
        names = listed(feature.name for feature in self.ahead.features)
        numbers = _numbers(series, self.frequency)
        for number, cutoff in enumerate(cutoffs.tolist()):
            later = numbers[cutoff + 1 : series.starts[number + 1]] - numbers[cutoff]
            lacking = np.setdiff1d(np.arange(1, ahead + 1), later)
            if len(lacking):
                raise InputFileError(
                    f"The row of {self._when(series, number, cutoff, int(lacking[0]))} is missing, which the forecast "
                    f"needs for {names}, known ahead: give it in `future`."
                )
            for feature in self.ahead.features:
                missing = columns[feature.name].missing[cutoff + 1 : cutoff + 1 + ahead]
                if missing.any() and not feature.gaps:
                    raise InputFileError(
                        f"{feature.name}, known ahead, is missing in the row of "
                        f"{self._when(series, number, cutoff, int(np.argmax(missing)) + 1)}: fill it in."
                    )

    def _when(self, series: SeriesSet, number: int, cutoff: int, ahead: int) -> str:
        """Return words for a step after a cut-off: its series and its time."""
        stamps = self.stamps(series)([number], [cutoff - int(series.starts[number])], [ahead])
        name = series.ids[number]
        whose = "" if name is None else f"{name!r} at "
        return (
            f"{whose}{stamps['time'][0]}" if "time" in stamps else f"{whose}step {ahead} after {stamps['cut-off'][0]}"
        )

    def _known(self, series: SeriesSet, ahead: int, columns: Mapping[str, Any]) -> NDArray[np.float32]:
        """Return what is known of each step, and of the steps after each series [steps + ahead series, places]."""
        import numpy as np

        from throughtime.data.calendar import calendar
        from throughtime.data.clock import Clock

        read = self.ahead.read(columns, series.steps)
        places = np.arange(series.steps) + ahead * series.of_step
        known = np.zeros((series.steps + ahead * len(series), read.shape[1]), dtype=np.float32)
        known[places] = read
        if not self.cycles:
            return known
        assert series.times is not None and self.frequency is not None
        clock = series.clock or Clock()
        times = np.zeros(len(known), dtype="datetime64[ns]")
        times[places] = series.times
        lasts = np.repeat(series.times[series.starts[1:] - 1], ahead)
        later = np.repeat(series.starts[1:] + ahead * np.arange(len(series)), ahead)
        steps = np.tile(np.arange(1, ahead + 1), len(series))
        times[later + steps - 1] = self.frequency.after(lasts, steps, clock)
        return np.concatenate([known, calendar(times, clock, self.cycles, self.frequency)], axis=1)

    def stamps(self, series: SeriesSet) -> Stamps:
        """Return the function that tells the times of forecasts.

        Without times, these are numbers of steps.
        """
        import numpy as np

        from throughtime.data.clock import Clock

        clock = series.clock or Clock()

        def told(numbers: Sequence[int], steps: Sequence[int], ahead: Sequence[int]) -> dict[str, list[Any]]:
            cutoffs, later = np.array(steps), np.array(ahead)
            if series.times is None:
                return {"time": (cutoffs + later).tolist(), "cut-off": cutoffs.tolist()}
            moments = series.times[series.starts[np.array(numbers)] + cutoffs]
            stamps = {"cut-off": _typed(clock, moments)}
            if self.frequency is None:
                return stamps
            return {"time": _typed(clock, self.frequency.after(moments, later, clock)), **stamps}

        return told


def waves_of(cycles: Sequence[Cycle], frequency: Frequency | None) -> int:
    """Return the number of places of the calendar."""
    import numpy as np

    from throughtime.data.calendar import calendar
    from throughtime.data.clock import Clock

    if frequency is None:
        return 0
    return calendar(np.zeros(1, dtype="datetime64[ns]"), Clock(), cycles, frequency).shape[1]


def _linear(
    columns: Sequence[tuple[str, Numbers, bool]], places: Places, given: ForecastSettings
) -> tuple[LinearPast, float] | None:
    """Return the linear forecasts of a training part, and their error.

    None: it is too short.

    Args:
        columns: name and values of each target, and whether it is read as its logarithm.
        places: of the steps.
        given: the settings, with the scale chosen.
    """
    import numpy as np

    from throughtime.data.past import past_of, read_as

    scales = [TargetScale.fit(name, column, places, "linear", given.season, log=log) for name, column, log in columns]
    came = np.stack([column.values for _, column, _ in columns], axis=1)
    past = past_of(came, places, scales, "linear", given.season, cast(Any, given.scale))
    return LinearPast.fit(read_as(came, scales), past, given.season, given.ahead)


def _reads_logs(name: str, column: Numbers, places: Places, given: ForecastSettings) -> bool:
    """Return whether a target is read as its logarithm."""
    from throughtime.data.past import log_is_steadier

    if KINDS[given.distribution].of_counts or given.transform == "none":
        return False
    if given.transform == "auto":
        return log_is_steadier(column, places)
    if (column.values <= 0).any():
        raise InputFileError(
            f"The target {name} holds values of 0 or below, which have no logarithms: take another `transform`."
        )
    return True


def _check_counts(columns: Mapping[str, Numbers], distribution: str) -> None:
    import numpy as np

    for name, column in columns.items():
        wrong = (column.values < 0) | (column.values != np.rint(column.values)) & ~column.missing
        if wrong.any():
            raise InputFileError(
                f"The target {name} holds {column.values[np.argmax(wrong)]:g}, and the distribution {distribution} is "
                "of counts, which are whole and at least 0: take another `distribution`."
            )


def _numbers(series: SeriesSet, frequency: Frequency | None) -> NDArray[np.int64]:
    """Return numbers of steps that count those missing in time [steps]."""
    import numpy as np

    from throughtime.data.frequency import spacing_of

    if series.times is None or frequency is None:
        return np.arange(series.steps)
    return spacing_of(series, frequency).numbers


def _made_at(series: SeriesSet) -> NDArray[np.bool_]:
    """Return whether a forecast is made at each step: where the next step counts, or all later ones do."""
    import numpy as np

    scored = series.scored
    next_scored = np.zeros_like(scored)
    next_scored[:-1] = scored[1:] & (series.of_step[1:] == series.of_step[:-1])
    return next_scored


def _typed(clock: Clock, times: NDArray[np.datetime64]) -> list[Any]:
    """Return times in the form in which they came: text, or numbers."""
    texts = clock.printed(times)
    if not clock.scale:
        return texts
    return [int(text) if text.lstrip("-").isdigit() else float(text) for text in texts]
