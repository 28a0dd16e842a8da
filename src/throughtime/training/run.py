"""A whole run: from settings to a trained model in its folder, started or continued."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import yaml
from lightning.pytorch import Callback, Trainer
from torch import nn

from throughtime.data.streams import HELD_OUT_STEPS, ChunkLoader, held_out_streams, training_streams
from throughtime.errors import ArgumentError, RunFolderError
from throughtime.gradients import CheckpointedBPTT
from throughtime.layers.base import RecurrentLayer
from throughtime.records import CONFIG, Outcome, Record, prepare_folder, read_record, write_aside, write_record
from throughtime.training.board import Board, check_board
from throughtime.training.checkpoints import AsideCheckpointIO, read_checkpoint
from throughtime.training.diagnoses import Diagnose, Diagnoses
from throughtime.training.diagnosing import windows
from throughtime.training.gradient import gradient_method
from throughtime.training.interruption import Interruption
from throughtime.training.material import Material, first_record, prepare
from throughtime.training.model import SequenceModel
from throughtime.training.module import SequenceTraining
from throughtime.training.progress_bar import RunBar
from throughtime.training.recorder import Recorder
from throughtime.training.sentences import opening_lines, update_phrase
from throughtime.training.settings import MAY_CHANGE_ON_RESUME, OptimizationSettings, RunSettings

Say = Callable[[str], None]
"""Takes a line for the user."""


@dataclass(frozen=True)
class Run:
    """A run about to be trained: its folder, settings, text, model and record."""

    folder: Path
    settings: RunSettings
    material: Material
    model: SequenceModel
    record: Record


def start(
    settings: RunSettings,
    folder: Path,
    overwrite: bool,
    say: Say,
    recurrent: Callable[[], nn.Module] | None = None,
    diagnose: Diagnose | None = None,
) -> Record:
    """Train a new model.

    Args:
        settings: the run's settings.
        folder: where it goes.
        overwrite: replace a run that is there.
        say: prints a line.
        recurrent: makes the recurrent layers; None: throughtime's, of the settings.
        diagnose: looks at the gradient's flow in throughtime's layers; None: nobody does.

    Returns:
        The record of the finished run.

    Raises:
        ThroughtimeError: of the kind that fits, before any work where the arguments are at fault.
    """
    check_accelerator(settings.optimization.accelerator)
    check_board(settings.optimization.tensorboard)
    material = prepare(settings)
    if settings.optimization.threads:
        torch.set_num_threads(settings.optimization.threads)
    torch.manual_seed(settings.optimization.seed)
    layers = recurrent() if recurrent else None
    method = gradient_method(settings.optimization)
    model = SequenceModel(len(material.vocabulary), settings.model, layers, method)
    if isinstance(method, CheckpointedBPTT) and isinstance(model.recurrent, RecurrentLayer):
        for depth in range(model.recurrent.num_layers):  # a memory that is too small leaves no folder
            cell = model.recurrent.cell_and_parameters(depth)[0]
            method.plan(cell, settings.optimization.update_every, material.batch_size)
    record = first_record(settings, material, model, folder)
    prepare_folder(folder, overwrite)
    # What was chosen for this text is written down, so that a later version that chooses otherwise can go on with it.
    chosen = replace(settings.optimization, batch_size=material.batch_size)
    run = Run(folder, replace(settings, file=record.data.file, optimization=chosen), material, model, record)
    write_config(run)
    write_record(folder, record)
    return _train(run, None, say, diagnose if recurrent is None else None)


def resume(settings: RunSettings, folder: Path, say: Say, diagnose: Diagnose | None = None) -> Record | None:
    """Go on with a run that was interrupted, or with a finished one for which `settings` has more epochs.

    Args: see `start`.

    Returns:
        The record of the run, or None when there was nothing left to do.

    Raises:
        ThroughtimeError: of the kind that fits, before any work.
    """
    record, before = read_record(folder), read_config(folder)
    _check_same_run(settings, before, record)
    if _complete(record, settings.optimization, before.optimization):
        passes = "epoch" if record.results.epochs == 1 else "epochs"
        say(
            f"{folder} is complete: {record.results.epochs:g} {passes}, {record.outcome.value}; to train on, give "
            f"--epochs above {before.optimization.epochs}."
        )
        return None
    check_accelerator(settings.optimization.accelerator)
    check_board(settings.optimization.tensorboard)
    material = prepare(settings)
    if material.file.sha256 != record.data.sha256:
        raise RunFolderError(
            f"FILE {settings.file} is not the text {folder} was trained on (its SHA-256 has changed): restore it, "
            "or start a new run."
        )
    checkpoint = read_checkpoint(folder)
    if settings.optimization.threads:
        torch.set_num_threads(settings.optimization.threads)
    model = SequenceModel(len(material.vocabulary), settings.model, None, gradient_method(settings.optimization))
    run = Run(folder, settings, material, model, record)
    write_config(run)
    return _train(run, checkpoint, say, diagnose)


def _complete(record: Record, wanted: OptimizationSettings, before: OptimizationSettings) -> bool:
    if record.outcome is Outcome.FINISHED:
        return wanted.epochs <= record.results.epochs
    same = wanted.epochs <= before.epochs and wanted.patience == before.patience
    return record.outcome is Outcome.NO_IMPROVEMENT and same


def _train(run: Run, checkpoint: Path | None, say: Say, diagnose: Diagnose | None) -> Record:
    settings = run.settings.optimization
    loader = ChunkLoader(
        training_streams(run.material.training, run.material.batch_size),
        settings.update_every,
        # One pass more than is trained: Lightning would mark an exhausted loader's run as over for good, and it could
        # not be continued with more epochs.
        settings.epochs + 1,
        settings.burn_in,
        settings.seed if settings.chunk_jitter else None,
    )
    updates_per_epoch = loader.chunks_per_pass
    module = SequenceTraining(run.model, settings, updates_per_epoch * settings.epochs)
    update = update_phrase(settings, run.material.batch_size)
    for line in opening_lines(run.record, str(run.folder), settings.epochs, updates_per_epoch, update):
        say(line)
    every = settings.validate_every or updates_per_epoch
    notice = f"Stopped at once; go on from the last checkpoint with: throughtime train --resume {run.folder}"
    with _quiet_lightning(), Interruption(notice) as interruption:
        recorder = Recorder(run.folder, run.record, updates_per_epoch, every, interruption)
        bar = RunBar(say, run.record.baselines, settings.epochs, run.record.data.units)
        trainer = Trainer(
            accelerator=settings.accelerator,
            devices=1,
            max_epochs=1,  # an epoch of Lightning's is the whole run: passes through the text are the loader's
            val_check_interval=every,
            check_val_every_n_epoch=None,
            num_sanity_val_steps=0,
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            plugins=[AsideCheckpointIO()],
            callbacks=[recorder, bar, *_watchers(run, diagnose)],
            default_root_dir=run.folder,
        )
        held_out = ChunkLoader(held_out_streams(run.material.held_out), HELD_OUT_STEPS)
        trainer.fit(module, loader, held_out, ckpt_path=checkpoint, weights_only=True)
    return recorder.record


def _watchers(run: Run, diagnose: Diagnose | None) -> list[Callback]:
    """The callbacks that look at the gradient in more detail, where that was asked for and the layers allow it."""
    settings, found = run.settings.optimization, []
    if diagnose is not None:
        found.append(Diagnoses(run.folder, diagnose, windows(run.material.held_out), settings.diagnose_every))
    if settings.tensorboard:
        found.append(Board(run.folder))
    return found


def check_accelerator(accelerator: str) -> None:
    """Raise `ArgumentError` when a GPU is asked for and there is none."""
    if accelerator == "gpu" and not (torch.cuda.is_available() or torch.backends.mps.is_available()):
        raise ArgumentError("--accelerator is gpu, and torch finds none on this machine: leave it out, or give cpu.")


def write_config(run: Run) -> None:
    """Write `config.yaml`, which `--config` takes back."""
    write_aside(run.folder / CONFIG, config_of(run.settings))


def config_of(settings: RunSettings) -> bytes:
    """Return the content of `config.yaml`."""
    return yaml.safe_dump(settings.flat(), sort_keys=False, allow_unicode=True).encode()


def read_config(folder: Path) -> RunSettings:
    """Read the settings of a run; raises `RunFolderError` when they are missing or damaged."""
    path = folder / CONFIG
    try:
        return RunSettings.from_flat(yaml.safe_load(path.read_text("utf-8")))
    except FileNotFoundError:
        raise RunFolderError(f"RUN {folder} has no {CONFIG}, so it cannot be continued; train anew.") from None
    except (OSError, UnicodeError, yaml.YAMLError, TypeError, KeyError, AttributeError):
        raise RunFolderError(f"{path} is damaged: it is not what throughtime writes; train anew.") from None


def _check_same_run(wanted: RunSettings, before: RunSettings, record: Record) -> None:
    recorded = before.flat()
    for name, value in wanted.flat().items():
        if name not in MAY_CHANGE_ON_RESUME and value != recorded[name]:
            raise ArgumentError(
                f"--{name.replace('_', '-')} is {value}, but the run to go on with has {recorded[name]}: leave it out, "
                "or start a new run."
            )
    if wanted.optimization.epochs < record.results.epochs:
        raise ArgumentError(
            f"--epochs is {wanted.optimization.epochs}, but the run has {record.results.epochs:g} behind it: give more."
        )


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Keep Lightning's banners, advice and warnings, which do not concern a user of the command, off the terminal."""
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
