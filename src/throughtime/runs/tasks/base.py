"""Contract of a task: what a run predicts from its data, and by what loss.

No torch is imported at the top, as the command line reads this module.

A run knows series, steps, chunks and losses. What the inputs and targets mean, how they are read from a file, what is
read out of the hidden states, and what a good loss is, only its task knows. `FileTask` trains in passes over a file;
`StreamTask` learns from events as they come. docs/extending.md has a recipe.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from throughtime.errors import UnsupportedError
from throughtime.runs.settings import ModelSettings, RunSettings, TaskSettings

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from throughtime.data.streams import Chunk, Streams
    from throughtime.records import Baselines, Record
    from throughtime.report.exhibit import Section
    from throughtime.report.run import RunRecords

    BaselinesOf = Baselines | dict[str, float]


@dataclass(frozen=True)
class Metric:
    """Measure of how good predictions are.

    Attributes:
        name: such as "RMSE".
        value: the number.
        unit: such as "nats per step"; empty for a number without a unit.
    """

    name: str
    value: float
    unit: str = ""


@dataclass(frozen=True)
class Data:
    """Data in the form that a model of the task predicts.

    Attributes:
        name: the file, as the caller named it.
        sha256: the SHA-256 of all its bytes.
        bytes: its size.
        streams: the series laid end to end, in which every target counts exactly once.
        windows: (steps, rows) → windows spread evenly over the data, each of which begins with a zero state.
        baselines: the losses of naive predictions on these targets, by name, the worst first.
        lines: what was read, and what naive predictions cost, for the user.
    """

    name: str
    sha256: str
    bytes: int
    streams: Streams
    windows: Callable[[int, int], Chunk]
    baselines: BaselinesOf
    lines: Sequence[str] = ()


@dataclass(frozen=True)
class Material:
    """Data that a run in passes trains on.

    Attributes:
        task: with all that it learned from the data (a vocabulary, scales, columns) before any training.
        settings: those of the run, with what was chosen for these data, such as `batch_size`.
        training: the series to train on.
        held_out: those that are never trained on.
        targets: how many targets there are in both parts.
    """

    task: FileTask
    settings: RunSettings
    training: Streams
    held_out: Data
    targets: tuple[int, int]


class Task(ABC):
    """Prediction task: data, readout, loss, metrics, and the words for them.

    An instance holds what predicting needs beside the weights. It is built from data (`FileTask.prepare`, `fit`) or
    from the record of a run (`from_record`), and must then predict the same.

    Attributes:
        name: what a record calls the task.
        settings: the class of its settings; every option told there is an option of the command.
        loss_name: what the loss is called.
        loss_unit: its unit, such as "nats"; empty for none.
        online: whether it learns from a stream.
    """

    name: ClassVar[str]
    settings: ClassVar[type[TaskSettings]] = TaskSettings
    loss_name: ClassVar[str] = "loss"
    loss_unit: ClassVar[str] = ""
    online: ClassVar[bool] = False

    @property
    def unit(self) -> str:
        """What is predicted one at a time, such as "step" or "series"."""
        return "step"

    # What a record keeps.

    @classmethod
    @abstractmethod
    def fit(cls, settings: RunSettings) -> Self:
        """Return the task for the data that the settings name, without training anything.

        Raises:
            InputFileError: the data cannot be read, or are not what the task reads.
            ArgumentError: a setting does not fit the data.
        """

    @classmethod
    @abstractmethod
    def from_record(cls, record: Record) -> Self:
        """Return the task as it was in the run of this record; the reverse of `recorded`."""

    def recorded(self, record: Record) -> Record:
        """Return the record with what `from_record` needs, such as `replace(record, facts={…})`; plain JSON only."""
        return record

    @abstractmethod
    def read(self, file: str, *, skip_unknown: bool = False, validation: float | None = None) -> Data:
        """Read data for a model that has been trained, with what the task knows.

        Args:
            file: the data.
            skip_unknown: leave out what the model never saw, instead of refusing it.
            validation: read only this share, the part that the run held out; None: all of it.

        Raises:
            InputFileError: the data cannot be read, are too short, or hold what the model never saw.
        """

    # The model.

    @abstractmethod
    def input_size(self, model: ModelSettings) -> int:
        """Return the number of features that enter the recurrent layers."""

    def entry(self, model: ModelSettings) -> tuple[str, nn.Module]:
        """Return the module below the recurrent layers, and the name of its weights in the model's state dict.

        It takes inputs [time, batch, …] as the chunks have them to [time, batch, input_size]. The default passes
        numbers on as they are. Inputs that are numbers and symbols at once are numbers [time, batch, columns], of
        which this module takes the columns of symbols apart.
        """
        from torch import nn

        return "entry", nn.Identity()

    @abstractmethod
    def readout(self, model: ModelSettings) -> nn.Module:
        """Return the module from hidden states [time, batch, hidden_size] to the outputs [time, batch, …]."""

    @abstractmethod
    def loss(self, outputs: Tensor, chunk: Chunk) -> Tensor:
        """Return the mean loss of the targets that count, a scalar with a gradient; 0 where none counts.

        Args:
            outputs: [time, batch, …] of the readout.
            chunk: with targets of the task's own shape. A target per step is [time, batch, …]; one per series stands
                at its last step, with a mask; those of the next H steps are [time, batch, H].
        """

    def count(self, chunk: Chunk) -> int:
        """Return how many targets the mean of `loss` is over."""
        return chunk.targets.numel() if chunk.mask is None else int(chunk.mask.sum())

    # What comes of it.

    def metrics(self, predicted: Iterable[tuple[Tensor, Chunk]]) -> list[Metric]:
        """Return the metrics of predictions, the mean loss first.

        Args:
            predicted: outputs and their chunks, in order; they are read once and need not fit into memory together.
        """
        total, count = 0.0, 0
        for outputs, chunk in predicted:
            here = self.count(chunk)
            total += self.loss(outputs, chunk).item() * here
            count += here
        return [Metric(self.loss_name, total / count, self.loss_unit)]

    def rows(self, outputs: Tensor, chunk: Chunk) -> Iterator[dict[str, Any]]:
        """Yield a row for each prediction, column → value.

        Raises:
            UnsupportedError: the task has no rows.
        """
        raise UnsupportedError(f"The task {self.name} writes no rows of predictions; see its metrics.")

    def samples(
        self, model: nn.Module, prompt: str, length: int, temperature: float, generator: torch.Generator
    ) -> Iterator[str]:
        """Yield pieces of a text that shows what the model has learned, the prompt first.

        Args:
            model: (inputs, state) → (outputs, state), in evaluation mode, on the CPU.
            prompt: what to go on from.
            length: how much to draw.
            temperature: below 1 more cautious, above 1 bolder; 0: always the likeliest.
            generator: where chance comes from.

        Raises:
            ArgumentError: an argument is out of range.
            UnsupportedError: the task draws no samples.
        """
        raise UnsupportedError(f"The task {self.name} draws no samples.")

    def figures(self, run: RunRecords) -> Sequence[Section]:
        """Return the task's sections of the report, made from the records of a run alone."""
        return ()

    # Words.

    def said(self, loss: float) -> str:
        """Return a loss as a user reads it, such as "1.612 nats (2.326 bits)"."""
        return " ".join(part for part in (f"{loss:.4g}", self.loss_unit) if part)

    def said_in_bar(self, loss: float) -> str:
        """Return a loss as the progress bar shows it."""
        return self.said(loss)

    def said_beside(self, baselines: BaselinesOf) -> str:
        """Return the baselines as they stand beside a validation, the best first."""
        from throughtime.records import named

        return "  ".join(f"{name} {loss:.3f}" for name, loss in reversed(named(baselines).items()))

    def opening_lines(self, record: Record) -> list[str]:
        """Return the lines that say what was read, and what naive predictions cost."""
        data = record.data
        told = f"Data    {data.file}: {data.bytes:,} bytes; {data.training_symbols:,} to train on"
        return [f"{told}, {data.held_out_symbols:,} held out", *self.baseline_lines(record.baselines)]

    def baseline_lines(self, baselines: BaselinesOf) -> list[str]:
        """Return the lines that say what naive predictions cost."""
        from throughtime.records import named

        return [f"Guess   {name:<52}{self.said(loss)} per {self.unit}" for name, loss in named(baselines).items()]

    def result_lines(self, metrics: Sequence[Metric], baselines: BaselinesOf) -> list[str]:
        """Return the lines that say how good the predictions are, beside naive ones."""
        from throughtime.report.losses import verdict_parts

        figures, meaning = verdict_parts(metrics[0].value, baselines, self.unit)
        others = [
            f"        {metric.name} {metric.value:.4g}{f' {metric.unit}' if metric.unit else ''}"
            for metric in metrics[1:]
        ]
        return [f"Result  {figures}:\n        {meaning}.", *others]


class FileTask(Task, ABC):
    """Task that trains in passes over a file, with a part held out."""

    @classmethod
    @abstractmethod
    def prepare(cls, settings: RunSettings) -> Material:
        """Read the data of a run and divide them, for training to begin.

        Raises: see `fit`; also where the data are too short to be trained on or divided.
        """


@dataclass(frozen=True)
class Event:
    """Step of a stream.

    Attributes:
        inputs: [1, …], what is known before the target.
        target: [1, …], what is predicted, and learned afterwards; None: nothing, the state goes on.
        guesses: the losses of naive predictions of this target, in the order of `StreamTask.guesses`.
        reset: whether a series begins here, so that the state starts anew.
    """

    inputs: Tensor
    target: Tensor | None
    guesses: tuple[float, ...] = ()
    reset: bool = False


class StreamTask(Task, ABC):
    """Task that learns from a stream: each event is predicted, then learned.

    An instance remembers where it stands; `stream_state` is what a continuation needs of it.

    Attributes:
        guesses: the names of the naive predictions, the worst first.
    """

    online: ClassVar[bool] = True
    guesses: ClassVar[tuple[str, ...]] = ()

    def settled(self, settings: RunSettings) -> RunSettings:
        """Return the settings as `config.yaml` keeps them, such as with the full path of the file."""
        return settings

    @abstractmethod
    def open(self, file: str, follow: bool) -> Iterator[Iterable[Any]]:
        """Return the stream from where the task stands, in pieces; an empty piece where nothing has come.

        Args:
            file: the source.
            follow: when it ends, wait for it to grow.

        Raises:
            InputFileError: it cannot be read, or is shorter than what was read before.
            ArgumentError: it cannot grow.
        """

    @abstractmethod
    def example(self) -> Tensor:
        """Return inputs [1, …] like those of every event, by which the learner prepares."""

    @abstractmethod
    def take(self, raw: Any) -> Event | None:
        """Take the next piece of the stream; None where there is nothing yet that it could be predicted from."""

    @property
    @abstractmethod
    def taken(self) -> int:
        """How much of the stream has been taken."""

    @abstractmethod
    def step_loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the loss of one step, a scalar: output [1, …], target [1, …]."""

    @abstractmethod
    def stream_state(self) -> dict[str, Any]:
        """Return what `load_stream_state` needs to go on from here; plain values and tensors."""

    @abstractmethod
    def load_stream_state(self, state: dict[str, Any]) -> None:
        """Go on from what `stream_state` returned; other keys of the checkpoint are left alone."""

    def tally_state(self, state: dict[str, Any]) -> dict[str, Any]:
        """Return the tally of a checkpoint in today's form; earlier versions of a task may have had another."""
        return state

    @property
    def worst_guess(self) -> float:
        """What a naive prediction costs at most, which stands in the record until something has come."""
        return math.inf

    def stream_line(self, read: int, loss: float, baselines: BaselinesOf, rate: float) -> str:
        """Return the line about the latest events: how many in all, their mean loss, the guesses, events a second."""
        guesses = self.said_beside(baselines)
        return f"{read:>12,} {self.unit}s   {self.said(loss)}   {guesses}   {rate:,.0f} {self.unit}s/s"

    def stream_opening_lines(self, record: Record, run: str, update_every: int) -> list[str]:
        """Return the lines that a run begins with; `run` names its folder."""
        return [
            f"Stream  {record.data.file}; each {self.unit} is predicted before it is learned, so nothing is held out",
            f"Model   {record.model.parameters:,} parameters, {record.machine['gradient']}, "
            f"updated every {update_every} {self.unit}s",
            f"Run     {run}; Ctrl-C saves and stops, throughtime train --resume {run} goes on",
            "",
        ]

    def stream_closing_lines(self, record: Record) -> list[str]:
        """Return the lines that say what came of it."""
        from throughtime.report.losses import OUTCOMES

        results, taken = record.results, record.data.training_symbols
        lines = ["", f"Done    {taken:,} {self.unit}s in {results.seconds:.0f} s, {OUTCOMES[record.outcome]}"]
        loss = results.last_validation_loss
        if loss is None:
            return lines
        return [*lines, *self.result_lines([Metric(self.loss_name, loss, self.loss_unit)], record.baselines)]
