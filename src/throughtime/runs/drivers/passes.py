"""Train in passes over a file, with Lightning's loop."""

import logging
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer

from throughtime.data.streams import HELD_OUT_STEPS, ChunkLoader
from throughtime.errors import RunFolderError
from throughtime.gradients import CheckpointedBPTT
from throughtime.layers.base import RecurrentLayer
from throughtime.records import BaselinesOf, DataRecord, Record, write_examination
from throughtime.runs.callbacks.board import Board
from throughtime.runs.callbacks.diagnoses import Diagnoses
from throughtime.runs.callbacks.progress_bar import RunBar
from throughtime.runs.callbacks.recorder import Recorder
from throughtime.runs.checkpoint_content import check_passes, kept_state
from throughtime.runs.checkpoints import AsideCheckpointIO, load_weights
from throughtime.runs.diagnoses import Diagnose
from throughtime.runs.drivers.base import Driver, Run, Say
from throughtime.runs.evaluation import examine
from throughtime.runs.gradient import gradient_method
from throughtime.runs.model import SequenceModel
from throughtime.runs.module import SequenceTraining
from throughtime.runs.recording.save_clock import SaveClock
from throughtime.runs.recording.sentences import opening_lines, update_phrase
from throughtime.runs.recording.time_limit import TimeLimit
from throughtime.runs.settings import RunSettings
from throughtime.runs.tasks.base import FileTask, Material

SAVE_EVERY = 120.0
"""Seconds between two checkpoints, where the settings leave it open."""


class Passes(Driver):
    """Training loop in passes over a file, with a held-out part.

    Args:
        kind: what is predicted.
        settings: those of the run.
        diagnose: looks at the gradient's flow; None: nobody does.
        trained: the task of the run that this run starts from; None: the task is fitted to the data.
    """

    def __init__(
        self,
        kind: type[FileTask],
        settings: RunSettings,
        diagnose: Diagnose | None,
        trained: FileTask | None = None,
    ) -> None:
        self.settings = settings
        self._kind = kind
        self._trained = trained
        self._diagnose = diagnose
        self._material: Material | None = None
        self._began = time.perf_counter()  # reading counts for the time limit too

    @property
    def material(self) -> Material:
        """Data of the run; known after `read`."""
        assert self._material is not None
        return self._material

    @property
    def task(self) -> FileTask:
        """Task of the run, fitted to the data; known after `read`."""
        return self.material.task

    def read(self, state: Mapping[str, Any] | None) -> None:
        """Read the data, and split off the held-out part."""
        prepare = self._kind.prepare if self._trained is None else self._trained.prepare_further
        self._material = prepare(self.settings)
        self.settings = self.material.settings

    def check_model(self, model: SequenceModel) -> None:
        """Refuse a memory limit that is too small for a segment."""
        method, layers = gradient_method(self.settings.optimization), model.recurrent
        if isinstance(method, CheckpointedBPTT) and isinstance(layers, RecurrentLayer):
            settings = self.settings.optimization
            for depth in range(layers.num_layers):  # `plan` raises where the limit is too small
                method.plan(layers.cell_and_parameters(depth)[0], settings.update_every, settings.batch_size)

    def data_record(self) -> tuple[DataRecord, BaselinesOf]:
        """Return file, size, digest and targets, and the baselines of the held-out part."""
        held_out = self.material.held_out
        data = DataRecord(self.settings.file, held_out.sha256, held_out.bytes, self.task.units)
        return data.of_targets(*self.material.targets), held_out.baselines

    def opening_lines(self, record: Record, folder: Path) -> list[str]:
        """Return lines on the data, naive predictions, the model and the length of the training."""
        settings = self.settings.optimization
        update = update_phrase(settings, self.material.training.rows)
        updates = self._loader().chunks_per_pass
        return opening_lines(self.task, record, str(folder), settings.epochs, updates, update)

    def check_data(self, record: Record, folder: Path) -> None:
        """Raise `RunFolderError` where the file has changed."""
        if self.material.held_out.sha256 != record.data.sha256:
            raise RunFolderError(
                f"FILE {self.settings.file} is not the one {folder} was trained on (its SHA-256 has changed): restore "
                "it, or start a new run."
            )

    def lasting_of(self, state: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the settings that Lightning's checkpoint carries for us."""
        return kept_state(state).settings or {}

    def check_state(self, state: Mapping[str, Any], model: SequenceModel) -> None:
        """Check the checkpoint against Lightning's loop, the data, the model and its optimizer."""
        with _quiet_lightning():
            trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
        inputs = next(iter(self._loader())).inputs[:1]
        check_passes(state, model, inputs, trainer.fit_loop.state_dict(), len(self._loader()))

    def train(self, run: Run, checkpoint: Path | None, say: Say) -> Record:
        """Run Lightning's loop to the end of the last pass."""
        settings = run.settings.optimization
        loader = self._loader()
        updates_per_epoch = loader.chunks_per_pass
        every = settings.validate_every or updates_per_epoch
        for line in self.opening_lines(run.record, run.folder):
            say(line)
        module = SequenceTraining(
            self.task, run.model, settings, settings.epochs * updates_per_epoch, run.settings.lasting()
        )
        clock = SaveClock(settings.save_minutes * 60 or SAVE_EVERY)
        limit = TimeLimit(settings.max_minutes * 60, self._began)
        held_out = self.material.targets[1]
        recorder = Recorder(run.folder, run.record, updates_per_epoch, every, run.interruption, clock, limit, held_out)
        with _quiet_lightning():
            bar = RunBar(say, self.task, run.record.baselines, settings.epochs)
            trainer = Trainer(
                accelerator=settings.accelerator,
                devices=1,
                max_epochs=1,  # an epoch of Lightning's is the whole run: passes through the data are the loader's
                val_check_interval=every,
                check_val_every_n_epoch=None,
                num_sanity_val_steps=0,
                logger=False,
                enable_checkpointing=False,
                enable_model_summary=False,
                plugins=[AsideCheckpointIO()],
                callbacks=[recorder, bar, *self._watchers(run)],
                default_root_dir=".",  # nothing is written there; the run folder's name may look like an address
            )
            validation = ChunkLoader(self.material.held_out.streams, HELD_OUT_STEPS)
            trainer.fit(module, loader, validation, ckpt_path=checkpoint, weights_only=True)
        self._examine(run, recorder.record)
        recorder.end(module)
        return recorder.record

    def _examine(self, run: Run, record: Record) -> None:
        """Predict the held-out part with the weights that are kept, and write what the report shows of it."""
        load_weights(run.folder, run.model)
        examination = examine(self.task, run.model.cpu().eval(), self.material.held_out)
        if examination is not None:
            write_examination(run.folder, replace(examination, update=record.results.best_update))

    def _loader(self) -> ChunkLoader:
        settings = self.settings.optimization
        return ChunkLoader(
            self.material.training,
            settings.update_every,
            # One pass more than is trained: Lightning would mark an exhausted loader's run as over for good, and it
            # could not be continued with more epochs.
            settings.epochs + 1,
            settings.burn_in,
            settings.seed if settings.chunk_jitter else None,
        )

    def _watchers(self, run: Run) -> list[Callback]:
        """Return the callbacks that diagnose the gradient or log to TensorBoard."""
        settings, watchers = run.settings.optimization, list[Callback]()
        if self._diagnose is not None:
            held_out = self.material.held_out
            watchers.append(Diagnoses(run.folder, self.task, self._diagnose, held_out, settings.diagnose_every))
        if settings.tensorboard:
            watchers.append(Board(run.folder))
        return watchers


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Keep Lightning's banners, advice and warnings off the terminal."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\.")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
