"""Tasks whose target is a class or a number, per series or per step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from throughtime.errors import ArgumentError, InputFileError
from throughtime.runs.settings import ModelSettings
from throughtime.runs.tasks.answers import Answers, ClassAnswers, NumberAnswers
from throughtime.runs.tasks.base import Metric
from throughtime.runs.tasks.of_series import SeriesTask
from throughtime.runs.tasks.reading import constant_of, read_columns
from throughtime.runs.tasks.series_settings import SeriesSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from throughtime.data.columns import Column
    from throughtime.data.encoding import Encoding
    from throughtime.data.series import SeriesSet
    from throughtime.data.series_arrays import SeriesArrays
    from throughtime.data.streams import Chunk
    from throughtime.records import BaselinesOf, Examination, Record
    from throughtime.runs.tasks.tallies import AnswerTally


LABEL = "label"
"""Name of the target of files that have a label per series."""


class AnswerTask(SeriesTask, ABC):
    """Task whose target is a class or a number, per series or per step.

    Args:
        encoding: how the columns are read.
        answers: what is predicted.
        given: the settings of the task.
    """

    def __init__(self, encoding: Encoding, answers: Answers, given: SeriesSettings) -> None:
        super().__init__(given)
        self.encoding = encoding
        self.answers = answers

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

    # Data.

    @classmethod
    def fitted(cls, training: SeriesSet, given: SeriesSettings) -> Self:
        """Return the task for the series of the training part."""
        from throughtime.data.encoding import Encoding

        name, target = cls.target_of(training, given)
        columns = read_columns(training)
        names = [column for column in columns if column != name]
        if not names:
            raise InputFileError(
                f"{training.origin.name} has no column beside the target {name}, so the task {cls.name} has nothing to "
                "read: give a file with more columns, or leave fewer out."
            )
        answers = cls.answers_of(name, target)
        if given.class_weight != "none":
            if not isinstance(answers, ClassAnswers):
                allowed = f"the target {name} is a number, and only classes have weights"
                raise ArgumentError("class_weight", f"is {given.class_weight}", allowed, "leave it out")
            answers = replace(answers, balanced=True)
        return cls(Encoding.fit(columns, names), answers, given)

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
        else:
            known = known & series.scored
        return SeriesArrays(inputs, numbers, series.starts, mask=known)

    def baselines(self, series: SeriesSet, arrays: SeriesArrays) -> BaselinesOf:
        """Return the losses of naive predictions of the targets that count."""
        steps = _counting_steps(arrays)
        return self.answers.baselines(arrays.targets[steps], None if arrays.weight is None else arrays.weight[steps])

    def naive_metrics(
        self, series: SeriesSet, arrays: SeriesArrays, training: SeriesArrays | None
    ) -> dict[str, dict[str, float]]:
        """Return the metrics of naive predictions of the targets that count."""
        steps = _counting_steps(arrays)
        name, constant = self.answers.constant(len(steps))
        naive = {name: constant, **self.naive(series, arrays, steps, constant, training)}
        weights = None if arrays.weight is None else arrays.weight[steps]
        return self.answers.naive_metrics(naive, arrays.targets[steps], weights)

    def naive(
        self,
        series: SeriesSet,
        arrays: SeriesArrays,
        steps: NDArray[Any],
        constant: NDArray[Any],
        training: SeriesArrays | None,
    ) -> dict[str, NDArray[Any]]:
        """Return naive predictions beside the constant one: name → numbers [targets].

        Args:
            series: those to predict.
            arrays: of `series`.
            steps: [targets] the steps whose target counts.
            constant: the constant prediction [targets].
            training: the training part; None where it is not at hand.
        """
        return {}

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
        return _mean(self.answers.losses(counted, targets), chunk) if len(targets) else (outputs * 0).sum()

    def objective(self, outputs: Tensor, chunk: Chunk) -> Tensor:
        """Return the mean of what training minimises."""
        counted, targets = counting(outputs, chunk)
        return _mean(self.answers.objective(counted, targets), chunk) if len(targets) else (outputs * 0).sum()

    # Predictions.

    def metrics(self, predicted: Iterable[tuple[Tensor, Chunk]]) -> list[Metric]:
        """Return the mean loss, and the metrics of the target's kind."""
        return self._tally(predicted).metrics(self.loss_name, self.loss_unit)

    def examined(self, predicted: Iterable[tuple[Tensor, Chunk]], names: Sequence[Any] = ()) -> Examination:
        """Return the metrics, and the figures of the target's kind."""
        tally = self._tally(predicted)
        return tally.examination(tally.metrics(self.loss_name, self.loss_unit), names)

    def _tally(self, predicted: Iterable[tuple[Tensor, Chunk]]) -> AnswerTally:
        tally = self.answers.tally()
        for outputs, chunk in predicted:
            counted, targets = counting(outputs, chunk)
            counted, places = counted.double().cpu(), _counting_places(chunk)
            losses, weights = self.answers.losses(counted, targets.cpu()), weights_of(chunk)
            tally.add(
                counted.numpy(),
                targets.cpu().numpy(),
                losses.numpy(),
                None if places is None else places.numpy(),
                None if weights is None else weights.cpu().numpy(),
            )
        if not tally.count:
            raise InputFileError("The data hold no target, so there is nothing to measure.")
        return tally

    def predictions(self, outputs: Tensor, chunk: Chunk) -> dict[str, Column]:
        """Return series, step and prediction of each target that counts."""
        from throughtime.data.columns import Numbers

        counted, _ = counting(outputs, chunk)
        places = _counting_places(chunk)
        assert places is not None
        series, step = (Numbers(numbers, whole=True) for numbers in places.double().numpy().T)
        return {"series": series, "step": step, **self.answers.columns(counted.double().cpu().numpy())}

    def rows(self, outputs: Tensor, chunk: Chunk) -> Iterator[dict[str, Any]]:
        """Yield series, step and prediction of each target that counts."""
        columns = self.predictions(outputs, chunk)
        for row in range(len(columns["step"])):
            yield {name: column.cell(row) for name, column in columns.items()}

    # Words.

    def columns_line(self) -> str:
        """Return the columns that are read, and the target."""
        return f"Columns {', '.join(feature.name for feature in self.encoding.features)} → {self.answers.column}"


class PerSeriesTask(AnswerTask, ABC):
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


def _counting_steps(arrays: SeriesArrays) -> NDArray[Any]:
    """Return the steps [targets] whose target counts."""
    import numpy as np

    return np.arange(arrays.steps) if arrays.mask is None else np.flatnonzero(arrays.mask)


def counting(outputs: Tensor, chunk: Chunk) -> tuple[Tensor, Tensor]:
    """Return outputs [targets, size] and targets [targets] where a target counts."""
    if chunk.mask is None:
        return outputs.flatten(0, 1), chunk.targets.flatten()
    return outputs[chunk.mask], chunk.targets[chunk.mask]


def weights_of(chunk: Chunk) -> Tensor | None:
    """Return the weights [targets] of the targets that count; None: all weigh the same.

    Their mean over all data is 1.
    """
    if chunk.weight is None:
        return None
    return chunk.weight.flatten() if chunk.mask is None else chunk.weight[chunk.mask]


def _mean(losses: Tensor, chunk: Chunk) -> Tensor:
    """Return the mean of losses [targets] times their weights."""
    weights = weights_of(chunk)
    return losses.mean() if weights is None else (losses * weights).mean()


def _counting_places(chunk: Chunk) -> Tensor | None:
    """Return series and step [targets, 2] where a target counts; None where the data are not known by series."""
    if chunk.origin is None:
        return None
    return (chunk.origin.flatten(0, 1) if chunk.mask is None else chunk.origin[chunk.mask]).cpu()
