"""Train along a stream, in memory that does not grow."""

import io
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from throughtime.online import OnlineLearner
from throughtime.online.learner import OnlineStep
from throughtime.records import (
    CHECKPOINT,
    METRICS,
    BaselinesOf,
    DataRecord,
    MetricsRow,
    Outcome,
    Record,
    Results,
    baselines_of,
    read_rows,
    write_aside,
    write_metrics,
    write_record,
)
from throughtime.records.ranges import check_length
from throughtime.runs.checkpoint_content import check_stream
from throughtime.runs.checkpoint_schema import at_path
from throughtime.runs.checkpoints import save_weights
from throughtime.runs.drivers.base import Driver, Run, Say
from throughtime.runs.gradient import gradient_method
from throughtime.runs.interruption import InterruptedRunError, Interruption, go_on
from throughtime.runs.model import SequenceModel
from throughtime.runs.recording.save_clock import SaveClock
from throughtime.runs.recording.stream_history import HistoryOfStream, StreamHistory, Tally
from throughtime.runs.settings import OptimizationSettings, RunSettings
from throughtime.runs.tasks.streaming import Event, StreamTask
from throughtime.wording import plural

SAVE_EVERY, SAY_EVERY = 20.0, 5.0
"""Seconds between two checkpoints, where the settings leave it open, and between two lines for the user."""

_FIRST_MILESTONE = 64
"""Events after which the mean loss of all of them is told for the first time, and then at each power of two."""


class Streaming(Driver):
    """Training loop along a stream, with an online learner.

    Args:
        kind: what is predicted.
        settings: those of the run.
        follow: when the source ends, wait for it to grow.
    """

    def __init__(self, kind: type[StreamTask], settings: RunSettings, follow: bool) -> None:
        self._task = kind.fit(settings)
        self.settings = self._task.settled(settings)
        self._source = settings.file  # as it was named, so that an error names it so
        self._follow = follow
        self._pieces: Iterator[Iterable[Any]] = iter(())

    @property
    def task(self) -> StreamTask:
        """Task of the run, with its position in the stream."""
        return self._task

    def read(self, state: Mapping[str, Any] | None) -> None:
        """Open the stream at the position of the run."""
        if state is not None:
            self.task.load_stream_state(dict(state))
        self._pieces = self._task.open(self._source, self._follow)

    def check_model(self, model: SequenceModel) -> None:
        """Refuse a model that the gradient method cannot serve."""
        self._learner(model).prepare(self.task.example())

    def data_record(self) -> tuple[DataRecord, BaselinesOf]:
        """Return the record's entry before any event, with the worst guess as baseline."""
        worst = self.task.worst_guess
        return DataRecord(self.settings.file, "", 0, self.task.units), baselines_of(
            dict.fromkeys(self.task.guesses, worst)
        )

    def opening_lines(self, record: Record, folder: Path) -> list[str]:
        """Return lines on the stream and the model."""
        return self.task.stream_opening_lines(record, str(folder), self.settings.optimization.update_every)

    def check_data(self, record: Record, folder: Path) -> None:
        """Accept any source: a stream goes on with what comes."""

    def lasting_of(self, state: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the settings that a checkpoint keeps."""
        return at_path(".settings", dict[str, Any], state.get("settings", {}))

    def check_state(self, state: Mapping[str, Any], model: SequenceModel) -> None:
        """Check the checkpoint against the learner, the model and its optimizer."""
        whole = at_path(".whole", dict[str, Any], state.get("whole"))
        history = at_path(".whole", HistoryOfStream, self.task.tally_state(whole))
        for path, tally in history.tallies(".whole").items():
            if tally.guesses:
                check_length(tally.guesses, len(self.task.guesses), f"{path}.guesses")
        check_stream(state, self._learner(model), self.task)

    def train(self, run: Run, checkpoint: Path | None, say: Say) -> Record:
        """Learn until the stream ends, Ctrl-C, or the time limit."""
        online = _Online(run, self.task, self._learner(run.model), say)
        if checkpoint is not None:
            online.take_up(torch.load(checkpoint, weights_only=True))
        for line in self.opening_lines(run.record, run.folder):
            say(line)
        outcome = online.run(self._pieces, run.interruption)
        online.save(outcome)  # before any line, as the terminal may be gone
        online.say_latest()
        for line in self.task.stream_closing_lines(online.record):
            say(line)
        if outcome is Outcome.INTERRUPTED:
            raise InterruptedRunError(
                f"Interrupted after {plural(self.task.taken, self.task.unit)}; everything is saved; {go_on(run.folder)}"
            )
        return online.record

    def _learner(self, model: SequenceModel) -> OnlineLearner:
        settings = self.settings.optimization
        optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
        # The layers were given the method too, but only so that the record names it: the learner does not ask them.
        method = gradient_method(settings)
        return OnlineLearner(
            model, self.task.step_loss, optimizer, method, settings.update_every, clip=settings.clip_norm or None
        )


class _Online:
    """A run along a stream, under way.

    `_recent` holds the sums since the last printed line.
    """

    def __init__(self, run: Run, task: StreamTask, learner: OnlineLearner, say: Say) -> None:
        self.record = run.record
        self._run, self._task, self._learner, self._say = run, task, learner, say
        self._history, self._recent = StreamHistory(), Tally()
        self._mark = self._said = time.monotonic()

    @property
    def _settings(self) -> OptimizationSettings:
        return self._run.settings.optimization

    def run(self, pieces: Iterator[Iterable[Any]], interruption: Interruption) -> Outcome:
        """Learn the events of the stream; return the reason why learning ended.

        A line is printed every few seconds, and a checkpoint written now and then.
        """
        limit = self._settings.max_minutes * 60 or math.inf
        clock = SaveClock(self._settings.save_minutes * 60 or SAVE_EVERY)
        self._mark = self._said = time.monotonic()

        def over() -> bool:
            return interruption.requested or self._history.whole.seconds >= limit

        for piece in pieces:
            members = list(piece)
            for raw in members:
                self._read(raw, alone=len(members) == 1)
                self._tick()
                if self._mark - self._said >= SAY_EVERY:
                    self.say_latest()
                if over():
                    break
                if clock.due():
                    with clock.saving():
                        self.save(Outcome.STARTED)
            self._tick()
            if over():
                return Outcome.INTERRUPTED if interruption.requested else Outcome.OUT_OF_TIME
        return Outcome.FINISHED

    def _tick(self) -> None:
        now = time.monotonic()
        self._history.pass_time(now - self._mark)
        self._mark = now

    def _read(self, raw: Any, alone: bool) -> None:
        """Predict the next event, learn from the error, count it, and tell what there is to tell."""
        event = self._task.take(raw)
        if event is None:
            return
        step = self._learn(event)
        lines = [self._task.event_line(step, event)] if alone else []
        events = self._history.whole.events
        if event.target is not None and events >= _FIRST_MILESTONE and not events & (events - 1):
            loss, guesses = self._history.whole.mean()
            lines.append(self._task.milestone_line(events, loss, self._baselines(guesses)))
        for line in filter(None, lines):
            self._say(line)

    def _learn(self, event: Event) -> OnlineStep:
        updates = self._learner.updates
        reset = torch.ones(len(event.inputs), dtype=torch.bool) if event.reset else None
        step = self._learner.step(event.inputs, event.target, reset)
        if step.loss is not None:
            loss = self._task.recorded_loss(step, event)
            for sums in (self._history, self._recent):
                sums.add(loss, event.guesses)
        if self._learner.updates > updates and self._learner.clipping is not None:
            self._history.note_update(self._learner.clipping)
        return step

    def say_latest(self) -> None:
        """Print a line on the events since the last line."""
        recent, seconds = self._recent, self._mark - self._said
        if recent.events:
            loss, guesses = recent.mean()
            rate = recent.events / max(seconds, 1e-9)
            self._say(self._task.stream_line(self._history.whole.events, loss, self._baselines(guesses), rate))
        self._recent, self._said = Tally(), self._mark

    def _baselines(self, guesses: list[float]) -> BaselinesOf:
        return baselines_of(dict(zip(self._task.guesses, guesses, strict=True)))

    def save(self, outcome: Outcome) -> None:
        """Write weights, checkpoint, metrics and record, each aside and renamed."""
        rows, whole = self._history.rows(self._settings.learning_rate), self._history.whole
        best = min((row.train_loss for row in rows), default=None)
        results = Results(
            updates=self._learner.updates,
            best_validation_loss=best,
            best_update=next((row.update for row in rows if row.train_loss == best), 0),
            last_validation_loss=rows[-1].train_loss if rows else None,
            tokens_per_second=whole.events / max(whole.seconds, 1e-9),
            seconds=whole.seconds,
        )
        data = replace(self.record.data.of_targets(self._task.taken, 0), bytes=self._task.bytes_taken)
        _, guesses = self._history.latest().mean()
        baselines = self._baselines(guesses) if guesses else self.record.baselines
        told = self._task.recorded(replace(self.record, data=data, baselines=baselines))  # what it knows of the stream
        self.record = told.after(outcome, results)
        content = io.BytesIO()
        torch.save(self._state(), content)
        folder = self._run.folder
        write_aside(folder / CHECKPOINT, content.getvalue())
        save_weights(folder, self._run.model)
        write_metrics(folder, rows)
        write_record(folder, self.record)

    def _state(self) -> dict[str, Any]:
        return {
            "learner": self._learner.state_dict(),
            "whole": self._history.state_dict(),
            "settings": self._run.settings.lasting(),
            **self._task.stream_state(),
        }

    def take_up(self, state: dict[str, Any]) -> None:
        """Continue from a checkpoint. `Streaming.read` has loaded the task's part."""
        self._learner.load_state_dict(state["learner"])
        rows = read_rows(self._run.folder, self.record, METRICS, MetricsRow)
        self._history.load_state_dict(self._task.tally_state(state["whole"]), rows, self._learner.updates)
