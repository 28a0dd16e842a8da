"""Tasks over series of columns: how they are read, held out and laid out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Self, cast

from throughtime.errors import UnsupportedError
from throughtime.runs.settings import RunSettings, TaskSettings
from throughtime.runs.tasks.base import Data, FileTask, Material
from throughtime.runs.tasks.reading import opened
from throughtime.runs.tasks.series_settings import SeriesSettings

if TYPE_CHECKING:
    from throughtime.data.series import SeriesSet
    from throughtime.data.series_arrays import SeriesArrays
    from throughtime.records import BaselinesOf, Record


_WANTED_UPDATES, _LEAST_EPOCHS, _MOST_EPOCHS = 1000, 6, 200
"""Where no number of passes is asked for: as many as give so many updates, within limits."""


class SeriesTask(FileTask, ABC):
    """Task over the series of a file.

    A task says how it is fitted to series, which arrays they become, and the losses of naive predictions; reading,
    holding out and laying out are the same for all.

    Args:
        given: the settings of the task.

    Attributes:
        per_series: whether a series has a single target, after its last step.
        told: sentences on the data and on what was chosen for them, for the first lines of a run.
        reasons: those of them on what the task chose when it was fitted.
    """

    settings: ClassVar[type[TaskSettings]] = SeriesSettings
    per_series: ClassVar[bool] = False

    def __init__(self, given: SeriesSettings) -> None:
        self.given = given
        self.told: Sequence[str] = ()
        self.reasons: Sequence[str] = ()

    @property
    def unit(self) -> str:
        """Unit of prediction."""
        return "series" if self.per_series else "step"

    # What a task adds.

    @classmethod
    @abstractmethod
    def fitted(cls, training: SeriesSet, given: SeriesSettings) -> Self:
        """Return the task for the series of the training part.

        Raises:
            InputFileError: the data have no such target, or not what the task predicts.
        """

    @abstractmethod
    def arrays(self, series: SeriesSet, seed: int | None = None, *, asked: bool = False) -> SeriesArrays:
        """Return inputs, targets and mask of series.

        Args:
            series: with the columns and the target of the training part.
            seed: for the training part, of the words that are read as unknown; None: all are read as they are.
            asked: every place of a target counts, and no target is read.
        """

    @abstractmethod
    def baselines(self, series: SeriesSet, arrays: SeriesArrays) -> BaselinesOf:
        """Return the losses of naive predictions by name, the worst first."""

    # Data.

    @classmethod
    def fit(cls, settings: RunSettings) -> Self:
        """Return the task, fitted to the part of a file that is not held out."""
        series, given = cls._open(settings.file, cls._given_in(settings))
        return cls.fitted(cls._split(series, replace(settings, task=given))[0], given)

    @classmethod
    def prepare(cls, settings: RunSettings) -> Material:
        """Read the series of a run, hold some out, and lay both parts out."""
        from throughtime.data.laying import training_feed
        from throughtime.data.names import full_path
        from throughtime.data.streams import Cut
        from throughtime.wording import plural

        series, given = cls._open(settings.file, cls._given_in(settings))
        training, held_out = cls._split(series, replace(settings, task=given))
        task = cls.fitted(training, given)
        told = settings.optimization
        arrays = task.arrays(training, told.seed)
        laid = training_feed(
            arrays,
            told.seed,
            min(told.update_every, arrays.longest),
            told.batch_size,
            told.burn_in,
            per_series=cls.per_series,
        )
        updates = laid.feed.chunks_per_pass(Cut(laid.steps, told.burn_in))
        epochs = told.epochs or min(_MOST_EPOCHS, max(_LEAST_EPOCHS, -(-_WANTED_UPDATES // updates)))
        passes = [] if told.epochs else [f"{epochs} passes give {plural(epochs * updates, 'update')}."]
        task.told = [*series.notes, *task.reasons, *laid.notes, *passes]
        chosen = replace(
            settings,
            file=full_path(settings.file),
            task=task.given,
            optimization=replace(told, batch_size=laid.rows, update_every=laid.steps, epochs=epochs),
        )
        asked = task.arrays(held_out)
        data = task._data(held_out, asked, laid.steps)
        return Material(task, chosen, laid.feed, data, (arrays.counted, asked.counted))

    @classmethod
    def _given_in(cls, settings: RunSettings) -> SeriesSettings:
        return settings.task if isinstance(settings.task, SeriesSettings) else cast(SeriesSettings, cls.settings())

    @classmethod
    def _open(
        cls, file: str, given: SeriesSettings, *, trained: bool = False, asked: bool = False
    ) -> tuple[SeriesSet, SeriesSettings]:
        """Return the series of a file, and the settings with the choices made for them; see `opened`."""
        return opened(file, given, trained=trained, asked=asked)

    @classmethod
    def _split(cls, series: SeriesSet, settings: RunSettings) -> tuple[SeriesSet, SeriesSet]:
        """Return the training part and the held-out part: whole series, drawn by the seed."""
        import numpy as np

        from throughtime.data.splitting import held_out_series

        held_out = held_out_series(series, settings.data.validation, settings.optimization.seed)
        return series.take(np.flatnonzero(~held_out)), series.take(np.flatnonzero(held_out))

    def read(self, file: str, *, skip_unknown: bool = False, validation: float | None = None) -> Data:
        """Read series for a trained model."""
        from throughtime.data.laying import LONGEST_GRADIENT

        series = self._open(file, self.given, trained=True)[0]
        if validation is not None:
            settings = RunSettings(file, task=self.given)
            settings = replace(settings, data=replace(settings.data, validation=validation))
            series = self._split(series, settings)[1]
        return self._data(series, self.arrays(series), LONGEST_GRADIENT)

    def asked(self, file: str, future: str = "") -> Data:
        """Read series whose targets may be missing."""
        if future:
            raise UnsupportedError(f"The task {self.name} reads no file of what is known ahead: leave `future` out.")
        from throughtime.data.laying import LONGEST_GRADIENT

        series = self._open(file, self.given, trained=True, asked=True)[0]
        return self._data(series, self.arrays(series, asked=True), LONGEST_GRADIENT, asked=True)

    def _data(self, series: SeriesSet, arrays: SeriesArrays, steps: int, *, asked: bool = False) -> Data:
        from throughtime.data.laying import held_out_feed

        laid = held_out_feed(arrays, steps, per_series=self.per_series)
        baselines = {} if asked or not arrays.counted else self.baselines(series, arrays)
        origin = series.origin
        return Data(
            origin.name, origin.sha256, origin.bytes, laid.feed, arrays.windows, baselines, series.notes, series.ids
        )

    # Words.

    @abstractmethod
    def columns_line(self) -> str:
        """Return a line on the columns that are read, and what is predicted."""

    def opening_lines(self, record: Record) -> list[str]:
        """Return the first lines of a run, with the columns and what was chosen."""
        first, *more = super().opening_lines(record)
        told = [f"        {sentence}" for sentence in self.told]
        return [first, self.columns_line(), *told, *more]
