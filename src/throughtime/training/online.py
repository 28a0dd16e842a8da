"""An online run: a model that learns from a stream of bytes while it comes, in memory that does not grow."""

import io
import math
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from throughtime.clipping import ClipReport
from throughtime.data.bytestream import STANDARD_INPUT, ByteStream
from throughtime.data.text import TextVocabulary
from throughtime.errors import ArgumentError
from throughtime.online import OnlineLearner
from throughtime.records import (
    CHECKPOINT,
    CONFIG,
    Baselines,
    MetricsRow,
    Outcome,
    Record,
    Results,
    prepare_folder,
    read_metrics,
    read_record,
    write_aside,
    write_metrics,
    write_record,
)
from throughtime.training.checkpoints import read_checkpoint, save_weights
from throughtime.training.counting import Counting
from throughtime.training.gradient import gradient_method
from throughtime.training.interruption import Interruption
from throughtime.training.material import record_of
from throughtime.training.model import SequenceModel
from throughtime.training.run import Say, config_of, read_config
from throughtime.training.sentences import online_closing_lines, online_line, online_opening_lines
from throughtime.training.settings import RunSettings

ALPHABET = 256
SAVE_EVERY, SAY_EVERY = 20.0, 5.0
"""Seconds between two checkpoints, and between two lines for the user."""


@dataclass
class Tally:
    """What has been read since the last line, and in all; losses in nats, summed."""

    bytes: int = 0
    loss: float = 0.0
    single: float = 0.0
    pairs: float = 0.0
    seconds: float = 0.0
    updates: int = 0
    norm: float = 0.0
    clipped: int = 0

    def note_update(self, report: ClipReport) -> None:
        """One more update."""
        self.updates += 1
        self.norm += report.total_norm
        self.clipped += report.clipped

    def add(self, loss: float, counted: tuple[float, float]) -> None:
        """One more byte."""
        self.bytes += 1
        self.loss += loss
        self.single += counted[0]
        self.pairs += counted[1]

    def mean(self) -> tuple[float, Baselines]:
        """The model's loss per byte, and what counting cost on the same bytes."""
        one = max(1, self.bytes)
        return self.loss / one, Baselines(math.log(ALPHABET), self.single / one, self.pairs / one)


@dataclass
class _Online:
    """An online run under way."""

    folder: Path
    settings: RunSettings
    learner: OnlineLearner
    model: SequenceModel
    record: Record
    say: Say
    counting: Counting = field(default_factory=Counting)
    rows: list[MetricsRow] = field(default_factory=list)
    last: int = -1
    whole: Tally = field(default_factory=Tally)
    recent: Tally = field(default_factory=Tally)

    def run(self, pieces: Iterator[bytes], interruption: Interruption) -> Outcome:
        """Learn until the stream ends, the user stops it, or the time is over."""
        limit = self.settings.optimization.max_minutes * 60
        said = saved = time.monotonic()
        for piece in pieces:
            for byte in piece:
                self._read(byte)
                now = time.monotonic()
                if now - said >= SAY_EVERY:
                    self._report(now - said)
                    said = now
                if now - saved >= SAVE_EVERY:
                    self.save(Outcome.STARTED)
                    saved = now
                if interruption.requested or (limit and self.whole.seconds + now - said >= limit):
                    break
            if interruption.requested or (limit and self.whole.seconds + time.monotonic() - said >= limit):
                break
        else:
            self._report(time.monotonic() - said)
            return Outcome.FINISHED
        self._report(time.monotonic() - said)
        return Outcome.INTERRUPTED if interruption.requested else Outcome.OUT_OF_TIME

    def _read(self, byte: int) -> None:
        """Predict the byte from those before, learn it, and count it."""
        before, self.last = self.last, byte
        if before < 0:
            self.counting.losses(byte)  # the first byte is nothing's successor
            return
        updates = self.learner.updates
        step = self.learner.step(torch.tensor([before]), torch.tensor([byte]))
        if self.learner.updates > updates and self.learner.clipping is not None:
            self.recent.note_update(self.learner.clipping)
        loss, counted = float(step.loss if step.loss is not None else math.nan), self.counting.losses(byte)
        for tally in (self.whole, self.recent):
            tally.add(loss, counted)

    def _report(self, seconds: float) -> None:
        """A line for the user and one for metrics.csv, of the bytes since the last."""
        self.whole.seconds += seconds
        if not self.recent.bytes:
            return
        loss, baselines = self.recent.mean()
        rate = self.recent.bytes / max(seconds, 1e-9)
        self.record = replace(self.record, baselines=baselines)
        self.say(online_line(self.whole.bytes, loss, baselines, rate))
        row = MetricsRow(
            self.learner.updates, 0.0, loss, loss, self.settings.optimization.learning_rate,
            self.recent.norm / max(1, self.recent.updates), self.recent.clipped / max(1, self.recent.updates),
            rate, self.whole.seconds,
        )  # fmt: skip
        self.rows.append(row)
        self.recent = Tally()

    def save(self, outcome: Outcome) -> None:
        """Write weights, checkpoint, metrics and record, each aside and renamed."""
        best = min((row.train_loss for row in self.rows), default=None)
        latest = self.rows[-1] if self.rows else None
        results = Results(
            updates=self.learner.updates,
            best_validation_loss=best,
            best_update=next((row.update for row in self.rows if row.train_loss == best), 0),
            last_validation_loss=None if latest is None else latest.train_loss,
            tokens_per_second=self.whole.bytes / max(self.whole.seconds, 1e-9),
            seconds=self.whole.seconds,
        )
        data = replace(self.record.data, bytes=self.bytes_read, training_symbols=self.bytes_read)
        self.record = replace(self.record, data=data).after(outcome, results)
        content = io.BytesIO()
        torch.save(self._state(), content)
        write_aside(self.folder / CHECKPOINT, content.getvalue())
        save_weights(self.folder, self.model)
        write_metrics(self.folder, self.rows)
        write_record(self.folder, self.record)

    @property
    def bytes_read(self) -> int:
        """All bytes of the stream so far."""
        return self.whole.bytes + (self.last >= 0)

    def _state(self) -> dict[str, Any]:
        return {
            "learner": self.learner.state_dict(),
            "counting": self.counting.state(),
            "last": self.last,
            "whole": vars(self.whole),
        }

    def take_up(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.learner.load_state_dict(state["learner"])
        self.counting.restore(state["counting"])
        self.last, self.whole = state["last"], Tally(**state["whole"])


def start_online(settings: RunSettings, folder: Path, overwrite: bool, follow: bool, say: Say) -> Record:
    """Learn from a stream with a new model.

    Raises:
        ThroughtimeError: of the kind that fits, before any work where the arguments are at fault.
    """
    stream = ByteStream(settings.file, follow)
    torch.manual_seed(settings.optimization.seed)
    learner, model = _learner(settings)
    file = settings.file if settings.file == STANDARD_INPUT else str(Path(settings.file).resolve())
    settings = replace(settings, file=file, data=replace(settings.data, units="bytes"))
    learner.prepare(torch.tensor([0]))  # what is refused leaves no folder
    vocabulary = TextVocabulary("bytes", tuple(range(ALPHABET)))
    record = record_of(settings, vocabulary, model, folder)
    prepare_folder(folder, overwrite)
    write_aside(folder / CONFIG, config_of(settings))
    write_record(folder, record)
    return _learn(_Online(folder, settings, learner, model, record, say), stream)


def resume_online(settings: RunSettings, folder: Path, follow: bool, say: Say) -> Record:
    """Go on with an online run: a file where it was left, standard input with what comes.

    Raises:
        ThroughtimeError: of the kind that fits, before any work.
    """
    record, before = read_record(folder), read_config(folder)
    for name, value in settings.flat().items():
        if name not in ("file", "max_minutes", "threads", "units") and value != before.flat()[name]:
            raise ArgumentError(
                f"--{name.replace('_', '-')} is {value}, but the run to go on with has {before.flat()[name]}: leave it "
                "out, or start a new run."
            )
    state = torch.load(read_checkpoint(folder), weights_only=True)
    online = _Online(folder, settings, *_learner(settings), record, say)
    online.take_up(state)
    with suppress(Exception):  # a run that was stopped before its first line has none
        online.rows = read_metrics(folder)
    offset = 0 if settings.file == STANDARD_INPUT else online.bytes_read
    return _learn(online, ByteStream(settings.file, follow, offset))


def _learner(settings: RunSettings) -> tuple[OnlineLearner, SequenceModel]:
    optimization = settings.optimization
    if optimization.threads:
        torch.set_num_threads(optimization.threads)
    # The layers have the method too, for the record; the learner is told of it by itself.
    model = SequenceModel(ALPHABET, settings.model, gradient=gradient_method(optimization))
    optimizer = torch.optim.Adam(model.parameters(), lr=optimization.learning_rate)
    learner = OnlineLearner(
        model,
        cross_entropy,
        optimizer,
        gradient_method(optimization),
        optimization.update_every,
        clip=optimization.clip_norm or None,
    )
    return learner, model


def _learn(online: _Online, stream: ByteStream) -> Record:
    for line in online_opening_lines(online.record, str(online.folder), online.settings.optimization):
        online.say(line)
    notice = f"Stopped at once; go on from the last checkpoint with: throughtime train --resume {online.folder}"
    with Interruption(notice) as interruption:
        outcome = online.run(stream.pieces(), interruption)
        online.save(outcome)
    for line in online_closing_lines(online.record, str(online.folder)):
        online.say(line)
    return online.record
