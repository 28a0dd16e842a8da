"""Tasks over series of columns: how they are read, held out and laid out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Self, cast

from throughtime.errors import ArgumentError, InputFileError, UnsupportedError
from throughtime.runs.settings import RunSettings, TaskSettings
from throughtime.runs.tasks.base import Data, FileTask, Material
from throughtime.runs.tasks.reading import opened
from throughtime.runs.tasks.series_settings import SeriesSettings

if TYPE_CHECKING:
    from throughtime.data.columns import Column
    from throughtime.data.series import Rows, SeriesSet
    from throughtime.data.series_arrays import SeriesArrays
    from throughtime.records import BaselinesOf, Record


_LEAST_EPOCHS, _MOST_EPOCHS = 6, 200
"""Passes, where no number is asked for."""


class SeriesTask(FileTask, ABC):
    """Task over the series of a file.

    A task says how it is fitted to series, which arrays they become, and the losses of naive predictions; reading,
    holding out and laying out are the same for all.

    Args:
        given: the settings of the task.

    Attributes:
        per_series: whether a series has a single target, after its last step.
        usual_split: how several series are split where the settings leave it open: "series" or "time".
        wanted_updates: updates of a run, where no number of passes is asked for; there may be more or fewer passes.
        least: chunks of whole series in a pass, and rows, see `training_feed`.
        told: sentences on the data and on what was chosen for them, for the first lines of a run.
    """

    settings: ClassVar[type[TaskSettings]] = SeriesSettings
    per_series: ClassVar[bool] = False
    usual_split: ClassVar[str] = "series"
    wanted_updates: ClassVar[int] = 1000
    least: ClassVar[tuple[int, int]] = 20, 8

    def __init__(self, given: SeriesSettings) -> None:
        self.given = given
        self.told: Sequence[str] = ()

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
        """Return the losses of naive predictions by name, the worst first.

        They are on the targets that count.
        """

    def naive_metrics(
        self, series: SeriesSet, arrays: SeriesArrays, training: SeriesArrays | None
    ) -> dict[str, dict[str, float]]:
        """Return the metrics of naive predictions of the targets that count: metric → prediction → value.

        Args:
            series: those to predict.
            arrays: of `series`.
            training: the training part; None where it is not at hand, as in `evaluate`.
        """
        return {}

    # Data.

    def weighed(self, series: SeriesSet, arrays: SeriesArrays) -> SeriesArrays:
        """Return the arrays of series with the weights of the series, if they have some.

        Raises:
            InputFileError: no target has a weight, or the weight changes within a series with a single target.
        """
        import numpy as np

        if series.weight is None:
            return arrays
        if self.per_series:
            changes = series.weight != np.repeat(series.weight[series.starts[:-1]], series.lengths)
            if changes.any():
                name = series.ids[int(series.of_step[changes.argmax()])]
                raise InputFileError(
                    f"{series.origin.name}: the weight {self.given.weight} changes within the series {name!r}, which "
                    "has a single target: give the same weight in all its rows."
                )
        return arrays.weighing(series.weight)

    @classmethod
    def fit(cls, settings: RunSettings) -> Self:
        """Return the task, fitted to the part of a file that is not held out."""
        series, settings = cls._opened(settings)
        return cls.fitted(cls.parted(series, settings)[0], cls._given_in(settings))

    @classmethod
    def prepare(cls, settings: RunSettings) -> Material:
        """Read the series of a run, hold some out, and lay both parts out."""
        series, settings = cls._opened(settings)
        training, held_out = cls.parted(series, settings)
        return cls.fitted(training, cls._given_in(settings))._material(series, training, held_out, settings)

    def prepare_further(self, settings: RunSettings) -> Material:
        """Read the series of a run as the model of another run reads them."""
        series, settings = self._opened(settings, trained=True)
        self.given = self._given_in(settings)
        training, held_out = self.parted(series, settings)
        return self._material(series, training, held_out, settings)

    def _material(self, series: SeriesSet, training: SeriesSet, held_out: SeriesSet, settings: RunSettings) -> Material:
        from throughtime.data.laying import training_feed
        from throughtime.data.names import full_path
        from throughtime.data.streams import Cut
        from throughtime.runs.tasks.understanding import column_lines, spacing_lines
        from throughtime.wording import plural

        told, given = settings.optimization, self._given_in(settings)
        arrays = self.weighed(training, self.arrays(training, told.seed))
        laid = training_feed(
            arrays,
            told.seed,
            min(told.update_every, arrays.longest),
            told.batch_size,
            told.burn_in,
            per_series=self.per_series,
            least=self.least,
        )
        updates = laid.feed.chunks_per_pass(Cut(laid.steps, told.burn_in))
        epochs = told.epochs or min(_MOST_EPOCHS, max(_LEAST_EPOCHS, -(-self.wanted_updates // updates)))
        passes = [] if told.epochs else [f"{epochs} passes give {plural(epochs * updates, 'update')}."]
        told_of_data = [*column_lines(series, given), *training.notes, *spacing_lines(series)]
        self.told = list(dict.fromkeys([*told_of_data, *self.told, *laid.notes, *passes]))
        chosen = replace(
            settings,
            file=full_path(settings.file),
            task=self.given,
            held=None,  # not needed again
            optimization=replace(told, batch_size=laid.rows, update_every=laid.steps, epochs=epochs),
        )
        asked = self.weighed(held_out, self.arrays(held_out))
        data = self._data(held_out, asked, laid.steps, training=arrays)
        return Material(self, chosen, laid.feed, data, (arrays.counted, asked.counted))

    @classmethod
    def _given_in(cls, settings: RunSettings) -> SeriesSettings:
        return cast(SeriesSettings, settings.task if isinstance(settings.task, cls.settings) else cls.settings())

    @classmethod
    def chosen(cls, series: SeriesSet, given: SeriesSettings) -> tuple[SeriesSet, SeriesSettings]:
        """Return series and settings with what the task chooses for a new run.

        Raises:
            InputFileError: the series are not what the task is for.
            ArgumentError: a setting is not for the task.
        """
        return series, given

    @classmethod
    def _opened(cls, settings: RunSettings, *, trained: bool = False) -> tuple[SeriesSet, RunSettings]:
        """Return the series of a run, and its settings with what was recognised and chosen for them."""
        from throughtime.data.splitting import chosen_split

        series, given = opened(settings.source, cls._given_in(settings), trained=trained)
        if not trained:
            series, given = cls.chosen(series, given)
        split = chosen_split(series, given.split, cls.usual_split, per_series=cls.per_series)
        return series, replace(settings, task=replace(given, split=split))

    @classmethod
    def parted(cls, series: SeriesSet, settings: RunSettings) -> tuple[SeriesSet, SeriesSet]:
        """Return the training part and the held-out part, as the settings of a run say.

        The notes of the training part tell how they came about.

        Raises:
            InputFileError: there is too little to split.
            ArgumentError: the series cannot be split in this way.
        """
        from throughtime.data.splitting import split_series

        given = cls._given_in(settings)
        if cls.per_series and given.split == "time":
            allowed = f"the task {cls.name} has a single target per series, after its last step"
            raise ArgumentError("split", "is time", allowed, "take series or file")
        classes = cls.classes(series, given)
        share, seed = settings.data.validation, settings.optimization.seed
        return split_series(series, given.split, share, seed, classes)

    @classmethod
    def classes(cls, series: SeriesSet, given: SeriesSettings) -> Column | None:
        """Return the class of each series, of which both parts get some.

        None: there are no classes.
        """
        return None

    def read(
        self,
        file: str | Rows | SeriesSet,
        *,
        skip_unknown: bool = False,
        held_out_of: RunSettings | None = None,
        part: str = "",
    ) -> Data:
        """Read series for a trained model."""
        from throughtime.data.laying import LONGEST_GRADIENT
        from throughtime.data.splitting import part_of_series

        series = opened(file, self.given, trained=True)[0]
        series = self.parted(series, held_out_of)[1] if held_out_of is not None else part_of_series(series, part)
        return self._data(series, self.weighed(series, self.arrays(series)), LONGEST_GRADIENT)

    def asked(self, file: str | Rows | SeriesSet, future: str = "") -> Data:
        """Read series whose targets may be missing."""
        if future:
            raise UnsupportedError(f"The task {self.name} reads no file of what is known ahead: leave `future` out.")
        from throughtime.data.laying import LONGEST_GRADIENT

        series = opened(file, self.given, trained=True, asked=True)[0]
        return self._data(series, self.arrays(series, asked=True), LONGEST_GRADIENT, asked=True)

    def _data(
        self,
        series: SeriesSet,
        arrays: SeriesArrays,
        steps: int,
        *,
        asked: bool = False,
        training: SeriesArrays | None = None,
    ) -> Data:
        from throughtime.data.laying import held_out_feed

        laid = held_out_feed(arrays, steps, per_series=self.per_series)
        measured = not asked and arrays.counted > 0
        baselines = self.baselines(series, arrays) if measured else {}
        metrics = self.naive_metrics(series, arrays, training) if measured else {}
        origin = series.origin
        return Data(
            origin.name,
            origin.sha256,
            origin.bytes,
            laid.feed,
            arrays.windows,
            baselines,
            series.notes,
            series,
            metrics,
        )

    # Words.

    @abstractmethod
    def columns_line(self) -> str:
        """Return a line on the columns that are read, and what is predicted from them."""

    def opening_lines(self, record: Record) -> list[str]:
        """Return the first lines of a run, with the columns and what was chosen."""
        first, *more = super().opening_lines(record)
        told = [f"        {sentence}" for sentence in self.told]
        return [first, self.columns_line(), *told, *more]
