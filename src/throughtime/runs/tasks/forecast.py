"""Task `forecast`: the next steps of numbers, at every step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from throughtime.errors import ArgumentError, InputFileError
from throughtime.records.plain import from_plain, to_plain
from throughtime.runs.settings import ModelSettings, RunSettings, TaskSettings
from throughtime.runs.tasks.base import Data, Metric
from throughtime.runs.tasks.forecast_choices import with_lengths
from throughtime.runs.tasks.forecast_distributions import KINDS, MIDDLE
from throughtime.runs.tasks.forecast_settings import ForecastSettings
from throughtime.runs.tasks.of_series import SeriesTask
from throughtime.runs.tasks.reading import opened
from throughtime.runs.tasks.series_settings import SeriesSettings
from throughtime.wording import plural

if TYPE_CHECKING:
    from torch import Tensor, nn

    from throughtime.data.forecast_arrays import ForecastArrays
    from throughtime.data.series import Rows, SeriesSet
    from throughtime.data.series_arrays import SeriesArrays
    from throughtime.data.streams import Chunk
    from throughtime.records import BaselinesOf, Record
    from throughtime.runs.tasks.forecast_counted import Counted
    from throughtime.runs.tasks.forecast_reading import ForecastReading


_FEW = 1000
"""Steps of data below which a small model is the default."""


class Forecast(SeriesTask):
    """Forecast of the next steps of columns of numbers, made at every step.

    Args:
        reading: how series are read.
        given: the settings of the task, with all choices made.
    """

    name: ClassVar[str] = "forecast"
    settings: ClassVar[type[TaskSettings]] = ForecastSettings
    usual_split: ClassVar[str] = "time"
    loss_name: ClassVar[str] = "scaled CRPS"
    given: ForecastSettings

    def __init__(self, reading: ForecastReading, given: ForecastSettings) -> None:
        super().__init__(given)
        self.reading = reading
        self.distribution = KINDS[given.distribution](given.wanted_levels)

    @classmethod
    def usual(cls, given: Mapping[str, Any], steps: int | None = None) -> Mapping[str, Any]:
        """Return the defaults of forecasts.

        A smaller part is held out, as the end of a series is what the next steps are most like. Few data get a small
        model that takes small steps: a large one leaves what it departs from for noise (docs/results.md).
        """
        small = {"hidden_size": 16, "num_layers": 1, "learning_rate": 0.001}
        return {"validation": 0.05, **(small if steps is not None and steps < _FEW else {})}

    # Data.

    @classmethod
    def chosen(cls, series: SeriesSet, given: SeriesSettings) -> tuple[SeriesSet, SeriesSettings]:
        """Return the series, and the settings with target, season and steps ahead chosen."""
        told = cast(ForecastSettings, given)
        told.refuse_distribution(cls.name, KINDS)
        for name, usual in (("weight", ""), ("class_weight", "none")):
            if getattr(told, name) != usual:
                came = f"is {getattr(told, name)}"
                raise ArgumentError(name, came, "a forecast weighs all its targets the same", "leave it out")
        told, notes = with_lengths(series, told)
        if told.distribution == "auto":
            told = replace(told, distribution="quantiles")
        return replace(series, notes=[*series.notes, *notes]), told

    @classmethod
    def parted(cls, series: SeriesSet, settings: RunSettings) -> tuple[SeriesSet, SeriesSet]:
        """Return the training part and the held-out part.

        By time, at least the steps of a forecast are held out.
        """
        from throughtime.data.time_split import ends_held_out

        given = cast(ForecastSettings, settings.task)
        if given.split != "time":
            return super().parted(series, settings)
        return ends_held_out(series, settings.data.validation, given.ahead)

    @classmethod
    def fitted(cls, training: SeriesSet, given: SeriesSettings) -> Self:
        """Return the task for the series of the training part."""
        from throughtime.runs.tasks.forecast_reading import ForecastReading

        reading, given, reasons = ForecastReading.fit(training, cast(ForecastSettings, given))
        task = cls(reading, given)
        task.told = reasons
        return task

    @classmethod
    def from_record(cls, record: Record) -> Self:
        """Return the task of a run, from the facts of its record."""
        from throughtime.runs.options import check_options
        from throughtime.runs.tasks.forecast_reading import ForecastReading

        given = from_plain(ForecastSettings, record.facts["settings"])
        check_options(given)
        return cls(from_plain(ForecastReading, record.facts["reading"]), given)

    def recorded(self, record: Record) -> Record:
        """Add settings, columns and scales to the record."""
        return replace(record, facts={"settings": asdict(self.given), "reading": to_plain(self.reading)})

    def arrays(self, series: SeriesSet, seed: int | None = None, *, asked: bool = False) -> ForecastArrays:
        """Return inputs, targets and cut-offs of series.

        Where asked, forecasts are made after the last target of each series alone.
        """
        return self.reading.arrays(series, self.given, seed, asked=asked)

    def baselines(self, series: SeriesSet, arrays: SeriesArrays) -> BaselinesOf:
        """Return the losses of naive forecasts of the targets that count."""
        from throughtime.data.forecast_naive import naive_losses

        return naive_losses(cast("ForecastArrays", arrays))

    def asked(self, file: str | Rows | SeriesSet, future: str = "") -> Data:
        """Read series to forecast after the last target of each."""
        from throughtime.data.laying import LONGEST_GRADIENT

        series = opened(file, self.given, trained=True, future=future)[0]
        data = self._data(series, self.arrays(series, asked=True), LONGEST_GRADIENT, asked=True)
        return replace(data, stamps=self.reading.stamps(series))

    def backtested(self, file: str, windows: int, step: int) -> Data:
        """Read series to forecast at some cut-offs, after which all steps ahead are known.

        Args:
            file: the series.
            windows: cut-offs of each series, at most; the last is H steps before the end.
            step: steps from a cut-off to the next.

        Raises:
            InputFileError: no series is long enough.
            ArgumentError: a number is below 1.
        """
        import numpy as np

        from throughtime.checks import check_size
        from throughtime.data.laying import LONGEST_GRADIENT

        check_size("windows", windows, least=1)
        check_size("step", step, least=1)
        series = opened(file, self.given, trained=True)[0]
        arrays, cutoffs = self.arrays(series), np.zeros(series.steps, dtype=np.bool_)
        for begin, end in pairwise(series.starts.tolist()):
            stride = min(step, end)  # so that a product stays a number of the machine
            lasts = end - 1 - self.given.ahead - stride * np.arange(min(windows, (end - begin) // stride + 1))
            cutoffs[lasts[lasts >= begin]] = True
        if not cutoffs.any():
            raise InputFileError(
                f"{series.origin.name} has no series of more than {self.given.ahead} steps, so nothing is left to "
                "forecast from: give longer series."
            )
        lacking = windows * len(series) - int(cutoffs.sum())
        lines = [f"{plural(int(cutoffs.sum()), 'cut-off')} in {plural(len(series), 'series')}."]
        lines += [f"{plural(lacking, 'cut-off')} would lie before the beginning of a series."] if lacking else []
        data = self._data(series, replace(arrays, cutoffs=cutoffs), LONGEST_GRADIENT)
        return replace(data, lines=[*data.lines, *lines], stamps=self.reading.stamps(series))

    # The model.

    def input_size(self, model: ModelSettings) -> int:
        """Return the number of places that are read at each step."""
        return self.reading.width

    def entry(self, model: ModelSettings) -> tuple[str, nn.Module]:
        """Return the module that keeps what is known ahead from the recurrent layers."""
        from throughtime.runs.tasks.forecast_modules import FirstColumns

        return "entry", FirstColumns(self.reading.width)

    def readout(self, model: ModelSettings) -> nn.Module:
        """Return the module from the state at a cut-off to the forecast of all steps."""
        from throughtime.runs.tasks.forecast_modules import ForecastReadout

        outputs = len(self.reading.targets), self.distribution.size
        known = self.reading.known_width(self.given)
        return ForecastReadout(model.hidden_size, self.reading.width, known, self.given.ahead, outputs)

    def loss(self, outputs: Tensor, chunk: Chunk) -> Tensor:
        """Return the mean CRPS, in units of the mean change over a season so far."""
        counted = self._counted(outputs, chunk)
        return (counted.crps(self.distribution) / counted.units).mean() if len(counted.targets) else (outputs * 0).sum()

    def objective(self, outputs: Tensor, chunk: Chunk) -> Tensor:
        """Return the mean of what training minimises."""
        counted = self._counted(outputs, chunk)
        losses = self.distribution.losses(counted.outputs, counted.targets, counted.scales)
        return losses.mean() if len(losses) else (outputs * 0).sum()

    def count(self, chunk: Chunk) -> int:
        """Return the number of values that are forecast."""
        if chunk.mask is not None:
            return int(chunk.mask.sum())
        time, rows, _, targets = chunk.targets.shape
        return time * rows * self.given.ahead * targets

    def _counted(self, outputs: Tensor, chunk: Chunk) -> Counted:
        from throughtime.runs.tasks.forecast_counted import Counted

        return Counted.of(outputs, chunk, self.given.ahead, [target.log for target in self.reading.targets])

    # Predictions.

    def metrics(self, predicted: Iterable[tuple[Tensor, Chunk]]) -> list[Metric]:
        """Return the scaled CRPS, and the scores in the unit of the target."""
        from throughtime.data.forecast_scores import ForecastScores

        levels, wanted = self.distribution.levels, sorted({MIDDLE, *self.distribution.levels})
        scores = ForecastScores(levels)
        for outputs, chunk in predicted:
            counted = self._counted(outputs, chunk).double()
            values = counted.in_units(self.distribution.quantiles(counted.outputs, wanted, counted.scales))
            scores.add(
                counted.in_units(counted.targets.unsqueeze(-1))[:, 0].numpy(),
                values[:, wanted.index(MIDDLE)].numpy(),
                values[:, [wanted.index(level) for level in levels]].numpy(),
                counted.crps(self.distribution).numpy(),
                counted.units.numpy(),
            )
        if not scores.count:
            raise InputFileError("The data hold no target after a cut-off, so there is nothing to measure.")
        return [Metric(self.loss_name, scores.loss), *(Metric(name, value) for name, value in scores.named().items())]

    def metrics_by_step(self, predicted: Sequence[tuple[Tensor, Chunk]]) -> list[list[Metric]]:
        """Return the metrics of the forecasts of each step ahead, as far as any counts."""
        scores: list[list[Metric]] = []
        for ahead in range(self.given.ahead):
            pairs = [(outputs, _at_step(chunk, ahead, self.given.ahead)) for outputs, chunk in predicted]
            if any(bool(chunk.mask.any()) for _, chunk in pairs if chunk.mask is not None):
                scores.append(self.metrics(pairs))
        return scores

    def rows(self, outputs: Tensor, chunk: Chunk) -> Iterator[dict[str, Any]]:
        """Yield series, cut-off, steps ahead and forecasts, a row for each step ahead."""
        assert chunk.origin is not None
        ahead, levels = self.given.ahead, self.distribution.levels
        wanted = sorted({MIDDLE, *levels})
        cutoffs = chunk.mask.flatten(2).any(dim=-1) if chunk.mask is not None else (chunk.origin[..., 0] >= 0)
        # Every step ahead of a cut-off has a row, whether its target counts or not.
        whole = chunk._replace(targets=chunk.targets[cutoffs].unsqueeze(1), mask=None)
        counted = self._counted(outputs[cutoffs].unsqueeze(1), whole).double()
        values = counted.in_units(self.distribution.quantiles(counted.outputs, wanted, counted.scales))
        places = chunk.origin[cutoffs].tolist()
        values = values.unflatten(0, (len(places), ahead, len(self.reading.targets))).tolist()
        names = [target.name for target in self.reading.targets]
        for (series, step), forecast in zip(places, values, strict=True):
            for number, of_targets in enumerate(forecast, start=1):
                row = {"series": series, "step": step, "ahead": number}
                for name, at in zip(names, of_targets, strict=True):
                    row[name] = at[wanted.index(MIDDLE)]
                    row |= {f"{name} {level:g}": at[wanted.index(level)] for level in levels}
                yield row

    # Words.

    def columns_line(self) -> str:
        """Return the columns that are read, and the targets."""
        names = [feature.name for feature in self.reading.encoding.features]
        targets = [target.name for target in self.reading.targets]
        return f"Columns {', '.join([*targets, *names])} → the next {self.given.ahead} of {', '.join(targets)}"


def _at_step(chunk: Chunk, ahead: int, steps: int) -> Chunk:
    """Return a chunk of which the targets of one step ahead alone count."""
    import torch

    time, rows, _, targets = chunk.targets.shape
    mask = torch.zeros((time, rows, steps, targets), dtype=torch.bool)
    mask[:, :, ahead] = True if chunk.mask is None else chunk.mask[:, :, ahead]
    return chunk._replace(mask=mask)
