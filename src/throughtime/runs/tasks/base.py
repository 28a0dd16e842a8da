"""Contract of a task: data, readout, loss, metrics and words of a run.

A run knows series, time steps, chunks and losses. Only its task knows what the inputs and targets mean, how they are
read from a file, what is read out of the hidden states, and what a good loss is. `FileTask` trains in passes over a
file; `StreamTask` (runs/tasks/streaming.py) learns from events as they come. docs/extending.md has a recipe.

Every task has a `name` and implements `fit`, `from_record` and `read` for the data, `input_size`, `readout` and `loss`
for the model. `recorded` belongs to them wherever `from_record` needs more than a class. A `FileTask` adds `prepare`;
a `StreamTask` adds `open`, `example`, `take`, `taken`, `step_loss`, `stream_state` and `load_stream_state`. Everything
else has a default. The calls come in this order:

- `train` in passes: `prepare` (data and task); `input_size`, `entry` and `readout` (model); `recorded` (record.json);
  `Data.windows` and `objective` (diagnoses); `objective` and `count` (chunks of training); `loss` and `count` (held-out
  chunks); `examined` (the weights that are kept).
- `train` with `online`: `fit`, `settled`, `load_stream_state` (to resume), `open`; `input_size`, `entry` and `readout`;
  `example`; `recorded`; `take` and `step_loss` (events); `stream_state` (checkpoints).
- Other commands: `from_record` and, except in `report`, the model; then `evaluate`: `read`, `metrics`; `sample`:
  `samples`; `diagnose`: `read`, `Data.windows`, `objective`, `figures`; `report`: `figures`. `diagnose DATA` calls
  `fit` in place of `from_record`, and no `figures`.

No torch is imported at the top, as the command line reads this module.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias

from throughtime.errors import InputFileError, UnsupportedError
from throughtime.records import Metric as Metric
from throughtime.runs.settings import ModelSettings, RunSettings, TaskSettings

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from throughtime.data.columns import Column
    from throughtime.data.series import SeriesSet
    from throughtime.data.streams import Chunk, Feed
    from throughtime.records import BaselinesOf, Examination, Record
    from throughtime.report.exhibit import Section
    from throughtime.report.run import RunRecords


Stamps: TypeAlias = "Callable[[Sequence[int], Sequence[int], Sequence[int]], Mapping[str, Sequence[Any]]]"


@dataclass(frozen=True)
class Data:
    """Data that a model predicts, for validation, evaluation or diagnosis.

    Attributes:
        name: the file, as the caller named it.
        sha256: the SHA-256 of all bytes of the file, in hexadecimal; a resumed run must match it.
        bytes: the size of the file in bytes.
        streams: the series, in which every target counts exactly once: text in streams, or many series as
            `held_out_feed` (data/laying.py) lays them.
        windows: function (steps, rows) → chunk of rows, spread evenly over the data, for the diagnosis. Each row
            begins with a zero state. Short data may give fewer steps. The diagnosis reads inputs, targets, mask and
            `resets`, at which the state starts anew and no gradient passes.
        baselines: the losses of naive predictions on these targets, by name, the worst first, in the unit of
            `Task.loss`.
        lines: lines for the user of `evaluate`: what was read, and the losses of naive predictions.
        series: the ids and times of what is predicted; None where the data are no series.
        naive_metrics: the metrics of naive predictions on these targets: metric → prediction → value. Those of the loss
            are `baselines`.
        stamps: for rows of forecasts, function (series, steps, steps ahead) → columns that tell their times.
    """

    name: str
    sha256: str
    bytes: int
    streams: Feed
    windows: Callable[[int, int], Chunk]
    baselines: BaselinesOf
    lines: Sequence[str] = ()
    series: SeriesSet | None = None
    naive_metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    stamps: Stamps | None = None

    @property
    def names(self) -> Sequence[Any]:
        """Id of each series; empty where the data are no series."""
        return () if self.series is None else self.series.ids


@dataclass(frozen=True)
class Material:
    """Data that a run in passes trains on, with the task fitted to these data.

    Attributes:
        task: the task, with its vocabulary, scales or columns of the training part.
        settings: the settings of the run, with the choices made for these data, such as `batch_size`, and with the
            full path of the file, so that the run can be resumed from any folder. They become `config.yaml`.
        training: the series to train on: text in streams, or many series as `training_feed` (data/laying.py) lays them.
        held_out: the series for validation, never trained on.
        targets: size of the training part and of the held-out part in `Task.units`, for the record and the first lines
            of a run.
    """

    task: FileTask
    settings: RunSettings
    training: Feed
    held_out: Data
    targets: tuple[int, int]


class Task(ABC):
    """Prediction task: data, readout, loss and metrics.

    An instance holds everything that predicting needs beside the weights. It is built from data (`FileTask.prepare`,
    `fit`) or from the record of a run (`from_record`); both must predict the same.

    Attributes:
        name: the name of the task in records and settings, such as "classify"; no two tasks share a name.
        settings: the class of the task's settings, a frozen dataclass whose fields are made by `option`. Each is an
            option of the command, so no other settings class may have a field of that name, not even by inheritance;
            tasks with the same options share the class.
        loss_name: the name of the loss, such as "cross-entropy" or "MSE".
        loss_unit: the unit of the loss, such as "nats" or "m²"; empty for none.
        online: whether the task learns from a stream; `FileTask` and `StreamTask` set it.
        sample_length: steps of the sample that `train` draws at its end.
    """

    name: ClassVar[str]
    settings: ClassVar[type[TaskSettings]] = TaskSettings
    loss_name: ClassVar[str] = "loss"
    loss_unit: ClassVar[str] = ""
    online: ClassVar[bool] = False
    sample_length: ClassVar[int] = 240

    @property
    def unit(self) -> str:
        """Singular of what is predicted one at a time, such as "step" or "series"."""
        return "step"

    @property
    def units(self) -> str:
        """Plural of `unit`."""
        from throughtime.wording import plural_noun

        return plural_noun(self.unit)

    @classmethod
    def usual(cls, given: Mapping[str, Any], steps: int | None = None) -> Mapping[str, Any]:
        """Return the task's defaults that differ from those of all tasks, by option.

        Args:
            given: the options that were given, by name, which defaults may go by.
            steps: how many steps the data have; None where they were not read.
        """
        return {}

    # Data.

    @classmethod
    @abstractmethod
    def fit(cls, settings: RunSettings) -> Self:
        """Return the task for the data that the settings name, without training.

        `diagnose DATA` and a run along a stream call it; `prepare` reads the same data for training, and usually calls
        it. From the commands and the engine, `settings.task` is of the class `Task.settings`; from other callers it can
        be a plain `TaskSettings()`, which stands for the defaults.

        Raises:
            InputFileError: the data cannot be read, or are not what the task reads.
            ArgumentError: a setting does not fit the data.
        """

    @classmethod
    @abstractmethod
    def from_record(cls, record: Record) -> Self:
        """Return the task of a run from the run's record; the reverse of `recorded`.

        It may not read the training data, which need not exist any more.
        """

    def recorded(self, record: Record) -> Record:
        """Add to a new run's record all that `from_record` needs.

        An example is `replace(record, facts={"classes": ["a", "b"]})`; `facts` holds plain JSON only.
        """
        return record

    @abstractmethod
    def read(
        self, file: str, *, skip_unknown: bool = False, held_out_of: RunSettings | None = None, part: str = ""
    ) -> Data:
        """Read data for a trained model, with the vocabulary or scales of the task.

        Args:
            file: the data.
            skip_unknown: leave out symbols or classes that the model never saw, instead of refusing the file.
            held_out_of: settings of a run; only what it held out is read, as `diagnose RUN` does. None: all is read.
            part: of a file that puts its series in parts, the part to read: "train", "valid" or "test"; "": test where
                the file has that beside others, else all.

        Raises:
            InputFileError: the data cannot be read, are too short, or hold what the model never saw.
            ArgumentError: the file has no such part.
        """

    def asked(self, file: str, future: str = "") -> Data:
        """Read data for predictions, whose targets may be missing: every place of a target counts.

        Args:
            file: the data.
            future: for forecasts, a file of what is known ahead; "" for none.

        Raises:
            InputFileError: as `read`.
            UnsupportedError: the task has no rows of predictions.
        """
        raise UnsupportedError(f"The task {self.name} writes no rows of predictions; see its metrics.")

    # The model.

    @abstractmethod
    def input_size(self, model: ModelSettings) -> int:
        """Return the number of features that enter the recurrent layers: those that `entry` returns."""

    def entry(self, model: ModelSettings) -> tuple[str, nn.Module]:
        """Return the name and the module of the layer below the recurrent layers.

        The name is the prefix of the module's weights in the model's state dict; "recurrent", "dropout" and "readout"
        are taken. The module maps the inputs of a chunk [time, batch, …] to [time, batch, input_size]. The default
        passes numbers on.

        Where numbers and symbols come together, the inputs are numbers [time, batch, columns], and the module embeds
        the columns that hold symbol numbers. Covariates, static or known in advance, are further columns; a static
        covariate has the same value at every step.
        """
        from torch import nn

        return "entry", nn.Identity()

    @abstractmethod
    def readout(self, model: ModelSettings) -> nn.Module:
        """Return the module from hidden states [time, batch, hidden_size] to outputs [time, batch, …].

        It has outputs at every step, even where only a series' last step has a target: `loss` picks by the mask. A
        module with the attribute `reads_inputs` gets the inputs of the chunk too, as its second argument.
        """

    @abstractmethod
    def loss(self, outputs: Tensor, chunk: Chunk) -> Tensor:
        """Return the mean loss of the targets that count, a scalar.

        Where no target of a chunk counts, it is 0 and still attached to the outputs: `(outputs * 0).sum()`.

        Args:
            outputs: [time, batch, …] of the readout.
            chunk: chunk with targets in the shape of the task. A target per step is [time, batch, …]; a target per
                series stands at the last step of the series, where the mask is true; the next H steps are
                [time, batch, H]. The mask is None where all targets of the chunk count.
        """

    def objective(self, outputs: Tensor, chunk: Chunk) -> Tensor:
        """Return what training in passes minimises, a scalar like `loss`, which is the default.

        The training loss that a run prints and records is the objective, and diagnoses follow the objective's gradient.
        Validations, metrics and baselines are of `loss`, so that runs with different objectives can be compared.
        """
        return self.loss(outputs, chunk)

    def count(self, chunk: Chunk) -> int:
        """Return the number of targets that the mean of `loss` is over.

        It weighs a chunk's loss and counts for the speed, in `units` per second. The default counts every number of the
        targets that counts: where the mask has fewer dimensions, such as [time, batch] beside targets [time, batch, H],
        each of its steps stands for all H numbers, as a chunk without a mask does. Override it where several numbers
        are a single target, such as a frame of 88 keys whose losses are summed.
        """
        if chunk.mask is None:
            return chunk.targets.numel()
        return int(chunk.mask.sum()) * chunk.targets.numel() // max(1, chunk.mask.numel())

    # Predictions.

    def metrics(self, predicted: Iterable[tuple[Tensor, Chunk]]) -> list[Metric]:
        """Return the metrics of predictions, the mean loss first.

        `evaluate` prints them. Validations have the loss alone.

        Args:
            predicted: pairs of outputs and chunk, in order; they can be read once, and need not fit into memory.

        Raises:
            InputFileError: the data hold no target that counts.
        """
        total, count = 0.0, 0
        for outputs, chunk in predicted:
            targets = self.count(chunk)
            total += self.loss(outputs, chunk).item() * targets
            count += targets
        if not count:
            raise InputFileError(f"The data hold no target, so the task {self.name} has nothing to measure there.")
        return [Metric(self.loss_name, total / count, self.loss_unit)]

    def examined(self, predicted: Iterable[tuple[Tensor, Chunk]], names: Sequence[Any] = ()) -> Examination | None:
        """Return what the report shows of predictions of the held-out part.

        Its size does not grow with them. A run calls it once, at its end, for the weights that it keeps, and writes the
        result to `examination.json`. The parts of `Examination` that a task fills in are drawn. The default has the
        metrics alone.

        Args:
            predicted: see `metrics`.
            names: the id of each series, by `Chunk.origin`; empty where the data are no series.

        Returns:
            The examination; None, without reading `predicted`, where a validation has measured all there is.
        """
        from throughtime.records import Examination

        return Examination(self.metrics(predicted))

    def rows(self, outputs: Tensor, chunk: Chunk) -> Iterator[dict[str, Any]]:
        """Yield a row for each prediction of a chunk: column → value.

        `throughtime predict` calls it on what `asked` returned, and so does a script, with the pairs of
        `throughtime.runs.evaluation.predicted`. Of series the columns "series" and "step" count from 0; other chunks do
        not know their place in the data, and their steps count from the start of the chunk.

        Raises:
            UnsupportedError: the task has no rows.
        """
        raise UnsupportedError(f"The task {self.name} writes no rows of predictions; see its metrics.")

    def predictions(self, outputs: Tensor, chunk: Chunk) -> Mapping[str, Column]:
        """Return the predictions of a chunk by columns, which `throughtime predict` writes.

        The default gathers `rows`. A task with many predictions a chunk overrides it, as making rows takes minutes per
        ten million.

        Raises:
            UnsupportedError: the task has no rows.
        """
        from throughtime.data.columns import column_of

        rows = list(self.rows(outputs, chunk))
        return {name: column_of([row[name] for row in rows]) for name in (rows[0] if rows else {})}

    def samples(
        self, model: nn.Module, prompt: str, length: int, temperature: float, generator: torch.Generator
    ) -> Iterator[str]:
        """Yield a sample from the model in pieces of text, the prompt first.

        A task of numbers yields a line per step. `train` draws a sample with an empty prompt at its end, and offers
        `throughtime sample`, wherever a task overrides this method.

        Args:
            model: (inputs [time, batch, …] as in a chunk, state) → (outputs, state), in evaluation mode, on the CPU;
                the first state is None. The caller does not turn gradients off.
            prompt: text to continue; "" for a start from nothing.
            length: number of steps to draw.
            temperature: below 1 more cautious, above 1 bolder; 0: always the most likely.
            generator: the source of randomness.

        Raises:
            ArgumentError: an argument is out of range.
            UnsupportedError: the task draws no samples.
        """
        raise UnsupportedError(f"The task {self.name} draws no samples.")

    def figures(self, run: RunRecords) -> Sequence[Section]:
        """Return the task's sections of the report, made from the records of a run alone.

        What `examined` returned is drawn without this method; `record.facts` has what `recorded` put there.
        """
        return ()

    # Words.

    def said(self, loss: float) -> str:
        """Return a loss with its unit, such as "1.612 nats (2.326 bits)"."""
        return " ".join(part for part in (f"{loss:.4g}", self.loss_unit) if part)

    def said_in_bar(self, loss: float) -> str:
        """Return a loss for the progress bar."""
        return self.said(loss)

    def said_beside(self, baselines: BaselinesOf) -> str:
        """Return the baselines for the line of a validation, the best first."""
        from throughtime.records import named

        return "  ".join(f"{name} {loss:.3f}" for name, loss in reversed(named(baselines).items()))

    def opening_lines(self, record: Record) -> list[str]:
        """Return the first lines of a run: the data, and the losses of naive predictions."""
        data = record.data
        told = f"Data    {data.file}: {data.bytes:,} bytes; {data.training_symbols:,} to train on"
        return [f"{told}, {data.held_out_symbols:,} held out", *self.baseline_lines(record.baselines)]

    def baseline_lines(self, baselines: BaselinesOf) -> list[str]:
        """Return lines on the losses of naive predictions."""
        from throughtime.records import named

        return [f"Guess   {name:<52}{self.said(loss)} per {self.unit}" for name, loss in named(baselines).items()]

    def result_lines(self, metrics: Sequence[Metric], baselines: BaselinesOf) -> list[str]:
        """Return lines on metrics; the first, the mean loss, is compared with the baselines."""
        from throughtime.report.loss_sentences import said_metric, verdict_parts

        figures, meaning = verdict_parts(metrics[0].value, baselines, self.units, self.loss_unit)
        others = [f"        {said_metric(metric)}" for metric in metrics[1:]]
        return [f"Result  {figures}:\n        {meaning}.", *others]


class FileTask(Task, ABC):
    """Task that trains in passes over a file, with a held-out part."""

    @classmethod
    @abstractmethod
    def prepare(cls, settings: RunSettings) -> Material:
        """Read the data of a run, and split off the held-out part.

        Scales and classes must come from the training part, or be known without the data. (The vocabulary of `Text` is
        that of the whole file: it only says which symbols there are.) A `batch_size` of 0 is for the task to choose.

        Raises: see `fit`; also where the data are too short for training or for a held-out part.
        """

    def prepare_further(self, settings: RunSettings) -> Material:
        """Read the data of a run that starts from the model of this task's run.

        Vocabulary, scales and classes stay as they are.

        Raises:
            InputFileError: as `prepare`; also where the data hold what the model cannot read.
            UnsupportedError: the task does not serve that.
        """
        raise UnsupportedError(f"The task {self.name} starts from no other run: leave `start_from` out.")
