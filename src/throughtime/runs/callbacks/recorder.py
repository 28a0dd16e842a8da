"""Callback that keeps the run folder up to date and ends the run."""

import math
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from throughtime.checks import check_size
from throughtime.errors import NonFiniteError
from throughtime.records import CHECKPOINT, Outcome, Record, write_metrics, write_record
from throughtime.runs.checkpoints import save_weights
from throughtime.runs.interruption import InterruptedRunError, Interruption
from throughtime.runs.module import SequenceTraining, sequence_training
from throughtime.runs.recording.save_clock import SaveClock
from throughtime.runs.recording.time_limit import TimeLimit
from throughtime.updates.rescue import first_nonfinite_weights


class Recorder(Callback):
    """Callback that writes weights, checkpoint, metrics and record after each validation.

    Between validations it writes a checkpoint when the clock says so.

    Args:
        folder: the run folder.
        record: what `record.json` holds so far.
        updates_per_epoch: updates in one pass through the data.
        validate_every: updates between validations.
        interruption: polled after each update.
        clock: tells when a checkpoint between validations is due.
        limit: tells when the time is up.
        held_out: held-out targets, by which the time of the first validation is guessed.
    """

    def __init__(
        self,
        folder: Path,
        record: Record,
        updates_per_epoch: int,
        validate_every: int,
        interruption: Interruption,
        clock: SaveClock,
        limit: TimeLimit,
        held_out: int = 0,
    ) -> None:
        check_size("updates_per_epoch", updates_per_epoch, 1)
        check_size("validate_every", validate_every, 1)
        self.folder = folder
        self.record = record
        self.outcome = Outcome.STARTED
        self._updates_per_epoch = updates_per_epoch
        self._validate_every = validate_every
        self._interruption = interruption
        self._clock = clock
        self._limit = limit
        self._held_out = held_out
        self._mark = self._batch_began = self._validation_began = time.perf_counter()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock; end at once if no update is left.

        A run that died between its last checkpoint and its last record has none left.
        """
        self._interruption.listen()  # Lightning has set its handler of SIGTERM, which ends the process without a word
        self._mark = time.perf_counter()
        module = sequence_training(pl_module)
        if module.progress.updates >= module.total_updates:
            self._stop(trainer, Outcome.FINISHED)
        elif module.ended:
            self._stop(trainer, Outcome.NO_IMPROVEMENT)
        if self._interruption.requested:  # nothing has changed since the checkpoint
            raise self._interrupted(module)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Note when the update began, and how long a diagnosis took before the first."""
        self._batch_began = time.perf_counter()
        if not sequence_training(pl_module).progress.updates:
            self._limit.note_diagnosis(self._batch_began - self._mark)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """End the run if it is finished, out of time or interrupted.

        A checkpoint is written if it is time. After a run that is finished or out of time Lightning validates once
        more.
        """
        module = sequence_training(pl_module)
        module.progress.window.seconds += time.perf_counter() - self._batch_began
        self._tick(module)
        if module.progress.updates >= module.total_updates:
            self._stop(trainer, Outcome.FINISHED)
        elif self._limit.over(self._likely_validation(module)):
            self._stop(trainer, Outcome.OUT_OF_TIME)
        # Where a validation is due now, all else waits for its end: a run that is resumed from a checkpoint between
        # update and validation would skip the validation.
        elif module.progress.updates % self._validate_every:
            self._save_if_due(trainer, module)

    def _save_if_due(self, trainer: Trainer, module: SequenceTraining) -> None:
        """Write a checkpoint where the clock or a stop signal asks for it.

        Weights that are not finite are never written: the next update or validation refuses or mends them.
        """
        requested = self._interruption.requested
        if not (requested or self._clock.due()) or first_nonfinite_weights(module.model) is not None:
            return
        self._save(trainer, module, Outcome.INTERRUPTED if requested else Outcome.STARTED)
        if requested:
            raise self._interrupted(module)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note when the validation began."""
        self._validation_began = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write all files; the weights only at the best validation so far."""
        module = sequence_training(pl_module)
        loss = module.held_out_loss
        _check_finite(module, loss, self.folder)
        self._limit.note_validation(time.perf_counter() - self._validation_began)
        self._tick(module)
        progress = module.progress
        learning_rate = trainer.optimizers[0].param_groups[0]["lr"]
        if progress.note_validation(loss, progress.updates / self._updates_per_epoch, learning_rate):
            save_weights(self.folder, module.model)
        if module.settings.patience and progress.stale >= module.settings.patience:
            module.ended = True
            self._stop(trainer, Outcome.NO_IMPROVEMENT)
        elif self._limit.over(validated=True):
            self._stop(trainer, Outcome.OUT_OF_TIME)
        requested = self._interruption.requested
        self._save(trainer, module, Outcome.INTERRUPTED if requested else Outcome.STARTED)
        if requested:
            raise self._interrupted(module)

    def end(self, module: SequenceTraining) -> None:
        """Write how the run ended, after all else that belongs to its training.

        Raises:
            InterruptedRunError: a stop signal came meanwhile.
        """
        self._write_numbers(module, Outcome.INTERRUPTED if self._interruption.requested else self.outcome)
        if self._interruption.requested:
            raise self._interrupted(module)

    def _save(self, trainer: Trainer, module: SequenceTraining, outcome: Outcome) -> None:
        with self._clock.saving():
            # After the weights, so that a checkpoint never claims a best model that is not on disk.
            trainer.save_checkpoint(self.folder / CHECKPOINT)
            self._write_numbers(module, outcome)

    def _write_numbers(self, module: SequenceTraining, outcome: Outcome) -> None:
        write_metrics(self.folder, module.progress.rows)
        module.history.write(self.folder)
        self.record = self.record.after(outcome, module.progress.results(self._updates_per_epoch))
        write_record(self.folder, self.record)

    def _interrupted(self, module: SequenceTraining) -> InterruptedRunError:
        return InterruptedRunError(
            f"Interrupted after update {module.progress.updates} of {module.total_updates}; everything is saved; go on "
            f"with: throughtime train --resume {self.folder}"
        )

    def _stop(self, trainer: Trainer, outcome: Outcome) -> None:
        if not trainer.should_stop:
            self.outcome = outcome
        trainer.should_stop = True

    def _likely_validation(self, module: SequenceTraining) -> float:
        """Return the seconds that the held-out targets take at the speed of training, which is slower."""
        window = module.progress.window
        return window.seconds * self._held_out / window.tokens if window.tokens else 0.0

    def _tick(self, module: SequenceTraining) -> None:
        now = time.perf_counter()
        module.progress.seconds += now - self._mark
        self._mark = now


def _check_finite(module: SequenceTraining, loss: float, folder: Path) -> None:
    name = first_nonfinite_weights(module.model)
    problem = f"the weights {name} hold NaN or infinity" if name is not None else f"the validation loss is {loss}"
    if name is None and math.isfinite(loss):
        return
    kept = "keeps the last good checkpoint" if (folder / CHECKPOINT).exists() else "holds no checkpoint yet"
    raise NonFiniteError(
        f"After update {module.progress.updates} {problem}; {folder} {kept}; a smaller `learning_rate` or `clip_norm` "
        "keeps the numbers in range."
    )
