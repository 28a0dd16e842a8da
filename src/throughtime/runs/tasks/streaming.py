"""Contract of a task that learns from a stream of events.

No torch is imported at the top, as the command line reads this module.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from throughtime.records import BaselinesOf, Record
from throughtime.runs.settings import RunSettings
from throughtime.runs.tasks.base import Metric, Task

if TYPE_CHECKING:
    from torch import Tensor

    from throughtime.online.learner import OnlineStep


@dataclass(frozen=True)
class Event:
    """Time step of a stream, with inputs and target.

    Attributes:
        inputs: [1, …], a batch of 1, known before the target.
        target: [1, …], predicted first and learned afterwards; None: no target, and only the state is updated.
        guesses: the losses of naive predictions of this target, in the order of `StreamTask.guesses`.
        reset: whether a series begins with this step, so that the state starts from zero.
    """

    inputs: Tensor
    target: Tensor | None
    guesses: tuple[float, ...] = ()
    reset: bool = False


class StreamTask(Task, ABC):
    """Task that learns from a stream: each event is predicted, then learned.

    `open` returns the stream in pieces, such as the bytes that came together. `take` takes the members of a piece, such
    as single bytes, in turn, and turns each into an event or into none. An instance remembers its position;
    `stream_state` returns all that a resumed run needs. Training learns by `step_loss` alone; `loss` and `read` serve
    `evaluate` and `diagnose`.

    Attributes:
        guesses: the names of the naive predictions, the worst first.
    """

    online: ClassVar[bool] = True
    guesses: ClassVar[tuple[str, ...]] = ()

    def settled(self, settings: RunSettings) -> RunSettings:
        """Return the settings for `config.yaml`, such as with the full path of the file."""
        return settings

    @abstractmethod
    def open(self, file: str, follow: bool) -> Iterator[Iterable[Any]]:
        """Return the stream from the current position on, in pieces.

        A piece is empty where nothing has come, so that the run can stop or save.

        Args:
            file: the source.
            follow: when the source ends, wait until it grows.

        Raises:
            InputFileError: it cannot be read, or is shorter than what was read before.
            ArgumentError: it cannot grow.
        """

    @abstractmethod
    def example(self) -> Tensor:
        """Return inputs [1, …] in the shape and dtype of every event's inputs."""

    @abstractmethod
    def take(self, raw: Any) -> Event | None:
        """Take the next member of a piece, and return it as an event.

        Return None where nothing has come before that it could be predicted from.
        """

    @property
    @abstractmethod
    def taken(self) -> int:
        """Number of members taken so far, events or not."""

    @property
    def bytes_taken(self) -> int:
        """Size in bytes of the members taken so far; 0 where it is not known."""
        return 0

    @abstractmethod
    def step_loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a time step, a scalar, from output [1, …] and target [1, …]."""

    def recorded_loss(self, step: OnlineStep, event: Event) -> float:
        """Return the loss that is told and recorded.

        The default is the loss that is learned from.

        Args:
            step: the prediction and its loss, before learning from it.
            event: with a target.
        """
        return float(step.loss)  # type: ignore[arg-type]

    @abstractmethod
    def stream_state(self) -> dict[str, Any]:
        """Return the task's position and statistics, as plain values and tensors.

        They are saved in the run's checkpoint, beside the keys "learner", "whole" and "settings", which are taken.
        """

    @abstractmethod
    def load_stream_state(self, state: dict[str, Any]) -> None:
        """Restore the state that `stream_state` returned.

        `state` is the whole checkpoint; other keys are left alone.
        """

    def tally_state(self, state: dict[str, Any]) -> dict[str, Any]:
        """Convert the tally (runs/drivers/streaming.py) of a checkpoint that an earlier version of the task wrote."""
        return state

    @property
    def worst_guess(self) -> float:
        """Largest loss of a naive prediction, for the record before any event."""
        return math.inf

    def stream_line(self, read: int, loss: float, baselines: BaselinesOf, rate: float) -> str:
        """Return the line on the latest events.

        Args:
            read: number of events so far.
            loss: the mean loss of the latest events.
            baselines: the mean losses of the naive guesses on the same events.
            rate: events per second.
        """
        guesses = self.said_beside(baselines)
        return f"{read:>12,} {self.units}   {self.said(loss)}   {guesses}   {rate:,.0f} {self.units}/s"

    def event_line(self, step: OnlineStep, event: Event) -> str:
        """Return the line on an event that came alone; empty for none."""
        return ""

    def milestone_line(self, events: int, loss: float, baselines: BaselinesOf) -> str:
        """Return the line on all events so far; empty for none.

        It is told at each power of two.

        Args:
            events: number of events so far.
            loss: their mean loss, of predictions made before learning (progressive validation).
            baselines: the mean losses of the naive guesses on the same events.
        """
        return ""

    def stream_opening_lines(self, record: Record, run: str, update_every: int) -> list[str]:
        """Return the first lines of a run; `run` names the run's folder."""
        from throughtime.wording import plural

        return [
            f"Stream  {record.data.file}; each {self.unit} is predicted before it is learned, so nothing is held out",
            f"Model   {record.model.parameters:,} parameters, {record.machine.get('gradient', 'an unknown gradient')}, "
            f"an update every {plural(update_every, self.unit)}",
            f"Run     {run}; Ctrl-C saves and stops; throughtime train --resume {run} continues",
            "",
        ]

    def stream_closing_lines(self, record: Record) -> list[str]:
        """Return the last lines of a run: its length, and the latest loss."""
        from throughtime.report.loss_sentences import OUTCOMES
        from throughtime.wording import plural

        results, taken = record.results, record.data.training_symbols
        lines = ["", f"Done    {plural(taken, self.unit)} in {results.seconds:.0f} s, {OUTCOMES[record.outcome]}"]
        loss = results.last_validation_loss
        if loss is None:
            return lines
        return [*lines, *self.result_lines([Metric(self.loss_name, loss, self.loss_unit)], record.baselines)]
