"""Tasks over series of columns: how they are read, encoded, held out and laid out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from throughtime.errors import InputFileError
from throughtime.runs.options import option
from throughtime.runs.settings import ModelSettings, RunSettings, TaskSettings
from throughtime.runs.tasks.answers import Answers, ClassAnswers, NumberAnswers
from throughtime.runs.tasks.base import Data, FileTask, Material, Metric

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from throughtime.data.columns import Column
    from throughtime.data.encoding import Encoding
    from throughtime.data.series import SeriesSet
    from throughtime.data.series_arrays import SeriesArrays
    from throughtime.data.streams import Chunk
    from throughtime.records import Record


LABEL = "label"
"""Name of the target of files that have a label per series."""

_WANTED_UPDATES, _LEAST_EPOCHS, _MOST_EPOCHS = 1000, 6, 200
"""Where no number of passes is asked for: as many as give so many updates, within limits."""


@dataclass(frozen=True)
class SeriesSettings(TaskSettings):
    """Options of tasks over series: what the columns of the file are."""

    format: str = option("", "Format of FILE, such as csv or ts. Default: by its name and content.", online=False)
    layout: str = option("", "For arrays: the order of the axes, such as NTC (series, time, column).", online=False)
    target: str = option("", "Column to predict.", online=False)
    id: str = option("", "Column that tells the series apart.", online=False)
    time: str = option("", "Column of the time of each row.", online=False)
    static: str = option("", "Columns with a single value per series, separated by commas.", online=False)
    ignore: str = option("", "Columns to leave out, separated by commas.", online=False)


class SeriesTask(FileTask, ABC):
    """Task over series of columns: a class or a number, per series or per step.

    Args:
        encoding: how the columns are read.
        answers: what is predicted.
        given: the settings of the task.

    Attributes:
        told: sentences on the data and on what was chosen for them, for the first lines of a run.
    """

    settings: ClassVar[type[TaskSettings]] = SeriesSettings
    per_series: ClassVar[bool]

    def __init__(self, encoding: Encoding, answers: Answers, given: SeriesSettings) -> None:
        self.encoding = encoding
        self.answers = answers
        self.given = given
        self.told: Sequence[str] = ()

    @classmethod
    @abstractmethod
    def target_of(cls, series: SeriesSet, given: SeriesSettings) -> tuple[str, Column]:
        """Return the name and the values of the target: [series] or [steps].

        Raises:
            InputFileError: the data have no such target.
        """

    @classmethod
    @abstractmethod
    def answers_of(cls, name: str, target: Column) -> Answers:
        """Return what is predicted, from the training part's target."""

    @property
    def loss_name(self) -> str:  # type: ignore[override]
        """Name of the loss."""
        return self.answers.loss_name

    @property
    def loss_unit(self) -> str:  # type: ignore[override]
        """Unit of the loss."""
        return self.answers.loss_unit

    @property
    def unit(self) -> str:
        """Unit of prediction."""
        return "series" if self.per_series else "step"

    # Data.

    @classmethod
    def fit(cls, settings: RunSettings) -> Self:
        """Return the task, fitted to the part of a file that is not held out."""
        series, given = opened(settings.file, cls._given_in(settings))
        return cls._fitted(cls._split(series, settings)[0], given)

    @classmethod
    def prepare(cls, settings: RunSettings) -> Material:
        """Read the series of a run, hold some out, and lay both parts out."""
        from throughtime.data.laying import training_feed
        from throughtime.data.names import full_path
        from throughtime.data.streams import Cut
        from throughtime.wording import plural

        series, given = opened(settings.file, cls._given_in(settings))
        training, held_out = cls._split(series, settings)
        task = cls._fitted(training, given)
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
        task.told = [*series.notes, *laid.notes, *passes]
        chosen = replace(
            settings,
            file=full_path(settings.file),
            task=given,
            optimization=replace(told, batch_size=laid.rows, update_every=laid.steps, epochs=epochs),
        )
        data = task._data(held_out, laid.steps)
        return Material(task, chosen, laid.feed, data, (task._targets(training), task._targets(held_out)))

    @classmethod
    def _given_in(cls, settings: RunSettings) -> SeriesSettings:
        return settings.task if isinstance(settings.task, SeriesSettings) else SeriesSettings()

    @classmethod
    def _split(cls, series: SeriesSet, settings: RunSettings) -> tuple[SeriesSet, SeriesSet]:
        """Return the training part and the held-out part: whole series, drawn by the seed."""
        import numpy as np

        from throughtime.data.splitting import held_out_series

        held_out = held_out_series(series, settings.data.validation, settings.optimization.seed)
        return series.take(np.flatnonzero(~held_out)), series.take(np.flatnonzero(held_out))

    @classmethod
    def _fitted(cls, training: SeriesSet, given: SeriesSettings) -> Self:
        from throughtime.data.encoding import Encoding

        name, target = cls.target_of(training, given)
        columns = read_columns(training)
        names = [column for column in columns if column != name]
        return cls(Encoding.fit(columns, names), cls.answers_of(name, target), given)

    @classmethod
    def from_record(cls, record: Record) -> Self:
        """Return the task of a run, from the facts of its record."""
        from throughtime.data.encoding import Encoding
        from throughtime.records.plain import from_plain
        from throughtime.runs.options import check_options

        kinds = {"class": ClassAnswers, "number": NumberAnswers}
        facts = record.facts
        given = from_plain(SeriesSettings, facts["settings"])
        check_options(given)
        answers = from_plain(kinds[facts["answers"]], facts["target"])
        return cls(from_plain(Encoding, facts["encoding"]), answers, given)

    def recorded(self, record: Record) -> Record:
        """Add columns, scales and classes to the record."""
        facts = {
            "settings": asdict(self.given),
            "encoding": asdict(self.encoding),
            "answers": "class" if isinstance(self.answers, ClassAnswers) else "number",
            "target": asdict(self.answers),  # type: ignore[call-overload]
        }
        return replace(record, facts=facts)

    def read(self, file: str, *, skip_unknown: bool = False, validation: float | None = None) -> Data:
        """Read series for a trained model."""
        from throughtime.data.laying import LONGEST_GRADIENT

        series = opened(file, self.given, trained=True)[0]
        if validation is not None:
            settings = RunSettings(file, task=self.given)
            settings = replace(settings, data=replace(settings.data, validation=validation))
            series = self._split(series, settings)[1]
        return self._data(series, LONGEST_GRADIENT)

    def asked(self, file: str) -> Data:
        """Read series whose targets may be missing."""
        from throughtime.data.laying import LONGEST_GRADIENT

        return self._data(opened(file, self.given, trained=True, asked=True)[0], LONGEST_GRADIENT, asked=True)

    def _data(self, series: SeriesSet, steps: int, *, asked: bool = False) -> Data:
        from throughtime.data.laying import held_out_feed

        arrays = self.arrays(series, asked=asked)
        laid = held_out_feed(arrays, steps, per_series=self.per_series)
        known = arrays.targets[arrays.mask] if arrays.mask is not None else arrays.targets
        baselines = self.answers.baselines(known) if len(known) and not asked else {}
        origin = series.origin
        return Data(
            origin.name, origin.sha256, origin.bytes, laid.feed, arrays.windows, baselines, series.notes, series.ids
        )

    def arrays(self, series: SeriesSet, seed: int | None = None, *, asked: bool = False) -> SeriesArrays:
        """Return inputs, targets and mask of series.

        Args:
            series: with the columns and the target of the training part.
            seed: for the training part, of the words that are read as unknown; None: all are read as they are.
            asked: every place of a target counts, and no target is read.
        """
        import numpy as np

        from throughtime.data.series_arrays import SeriesArrays

        chance = None if seed is None else np.random.default_rng(seed)
        inputs = self.encoding.read(read_columns(series), series.steps, chance)
        if asked:
            places = len(series) if self.per_series else series.steps
            numbers, known = np.zeros(places, dtype=np.int64), np.ones(places, dtype=np.bool_)
        else:
            target = self.target_of(series, self.given)[1]
            numbers, known = self.answers.numbers(target), ~target.missing
        if self.per_series:
            ends = series.starts[1:] - 1
            spread = np.zeros(series.steps, dtype=numbers.dtype)
            mask = np.zeros(series.steps, dtype=np.bool_)
            spread[ends], mask[ends] = numbers, known
            numbers, known = spread, mask
        return SeriesArrays(inputs, numbers, series.starts, mask=known)

    def _targets(self, series: SeriesSet) -> int:
        return int((~self.target_of(series, self.given)[1].missing).sum())

    # The model.

    def input_size(self, model: ModelSettings) -> int:
        """Return the number of places of all columns."""
        return self.encoding.width

    def readout(self, model: ModelSettings) -> nn.Module:
        """Return the linear layer to the outputs of a target."""
        from torch import nn

        return nn.Linear(model.hidden_size, self.answers.size)

    def loss(self, outputs: Tensor, chunk: Chunk) -> Tensor:
        """Return the mean loss of the targets that count."""
        counted, targets = counting(outputs, chunk)
        return self.answers.losses(counted, targets).mean() if len(targets) else (outputs * 0).sum()

    def objective(self, outputs: Tensor, chunk: Chunk) -> Tensor:
        """Return the mean of what training minimises."""
        counted, targets = counting(outputs, chunk)
        return self.answers.objective(counted, targets).mean() if len(targets) else (outputs * 0).sum()

    # Predictions.

    def metrics(self, predicted: Iterable[tuple[Tensor, Chunk]]) -> list[Metric]:
        """Return the mean loss, and the metrics of the target's kind."""
        import torch

        pairs = [counting(outputs, chunk) for outputs, chunk in predicted]
        outputs = torch.cat([outputs for outputs, _ in pairs]).double()
        targets = torch.cat([targets for _, targets in pairs])
        if not len(targets):
            raise InputFileError("The data hold no target, so there is nothing to measure.")
        loss = Metric(self.loss_name, float(self.answers.losses(outputs, targets).mean()), self.loss_unit)
        return [loss, *self.answers.metrics(outputs.numpy(), targets.numpy())]

    def rows(self, outputs: Tensor, chunk: Chunk) -> Iterator[dict[str, Any]]:
        """Yield series, step and prediction of each target that counts."""
        counted = outputs.flatten(0, 1) if chunk.mask is None else outputs[chunk.mask]
        assert chunk.origin is not None
        places = chunk.origin.flatten(0, 1) if chunk.mask is None else chunk.origin[chunk.mask]
        for values, (series, step) in zip(counted.double().numpy(), places.tolist(), strict=True):
            yield {"series": series, "step": step, **self.answers.row(values)}

    # Words.

    def opening_lines(self, record: Record) -> list[str]:
        """Return the first lines of a run, with the columns and what was chosen."""
        read = ", ".join(feature.name for feature in self.encoding.features)
        first, *more = super().opening_lines(record)
        told = [f"        {sentence}" for sentence in self.told]
        return [first, f"Columns {read} → {self.answers.column}", *told, *more]


class PerSeriesTask(SeriesTask, ABC):
    """Task of one target per series, read after the last step of the series."""

    per_series: ClassVar[bool] = True

    @classmethod
    def target_of(cls, series: SeriesSet, given: SeriesSettings) -> tuple[str, Column]:
        """Return the name and the values [series] of the target.

        It is the label of the file, or the column that the settings name.

        Raises:
            InputFileError: there is no such column, or it changes within a series.
        """
        if series.label is not None and given.target in ("", LABEL):
            return LABEL, series.label
        column = series.statics.get(given.target)
        if column is not None:
            return given.target, column
        if given.target not in series.columns:
            raise InputFileError(
                f"{series.origin.name} has no {f'column {given.target}' if given.target else 'labels'} for the task "
                f"{cls.name}; the columns are {', '.join([*series.columns, *series.statics])}: name one in `target`."
            )
        constant = constant_of(series, given.target)
        if constant is None:
            raise InputFileError(
                f"{series.origin.name}: the target {given.target} changes within series, so it is none for the task "
                f"{cls.name}: take the task label, or name the column that tells series apart in `id`."
            )
        return given.target, constant


def counting(outputs: Tensor, chunk: Chunk) -> tuple[Tensor, Tensor]:
    """Return outputs [targets, size] and targets [targets] where a target counts."""
    if chunk.mask is None:
        return outputs.flatten(0, 1), chunk.targets.flatten()
    return outputs[chunk.mask], chunk.targets[chunk.mask]


def read_columns(series: SeriesSet) -> dict[str, Column]:
    """Return the columns [steps] that a model can read.

    Those with a value per series have it at every step.
    """
    return {**series.columns, **{name: column.take(series.of_step) for name, column in series.statics.items()}}


def opened(
    file: str, given: SeriesSettings, *, trained: bool = False, asked: bool = False
) -> tuple[SeriesSet, SeriesSettings]:
    """Return the series of a file, and the settings with the roles recognised.

    Args:
        file: a file, a folder, or a pattern of files.
        given: what the columns are.
        trained: whether a model was trained with these settings, so that columns it leaves out may be missing.
        asked: whether the target may be missing.

    Raises:
        InputFileError: the file cannot be read, or is not what the settings say.
        ArgumentError: a setting names no column.
    """
    from throughtime.data.formats.choice import read
    from throughtime.data.roles import Roles, completed, series_of
    from throughtime.data.series import SeriesSet

    read_data = read(file, given.format, given.layout)
    if isinstance(read_data, SeriesSet):
        return read_data, given
    target = tuple(name for name in names_in(given.target) if name in read_data.columns or not asked)
    roles = Roles(
        id=given.id or None,
        time=given.time or None,
        target=target,
        static=names_in(given.static),
        ignore=tuple(name for name in names_in(given.ignore) if name in read_data.columns or not trained),
    )
    series, (roles, _) = series_of(read_data, roles), completed(read_data, roles)
    known = replace(given, id=roles.id or "", time=roles.time or "", target=roles.target[0] if roles.target else "")
    return series, known


def constant_of(series: SeriesSet, name: str) -> Column | None:
    """Return a column as a value per series [series].

    None: it changes within a series.
    """
    column = series.columns[name]
    first = column.take(series.starts[:-1])
    repeated = first.take(series.of_step)
    same = codes_of(column) == codes_of(repeated)
    return first if bool((same | (column.missing & repeated.missing)).all()) else None


def codes_of(column: Column) -> NDArray[Any]:
    """Return numbers, or the numbers of words."""
    from throughtime.data.columns import Numbers

    return column.values if isinstance(column, Numbers) else column.numbers


def names_in(text: str) -> tuple[str, ...]:
    """Return the names of columns in an option, which commas separate."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
