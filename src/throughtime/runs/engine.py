"""Start a run, or resume a run."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from throughtime.errors import ArgumentError
from throughtime.records import (
    CHECKPOINT,
    RECORD,
    Outcome,
    Record,
    Results,
    new_folder,
    only_writer,
    read_record,
    write_record,
)
from throughtime.report.loss_sentences import OUTCOMES
from throughtime.runs.callbacks.board import check_board
from throughtime.runs.checkpoints import from_checkpoint, load_run, read_checkpoint
from throughtime.runs.choice import kind_of, task_and_model, with_task_settings
from throughtime.runs.config import check_same_run, check_unedited, read_config, write_config
from throughtime.runs.diagnoses import Diagnose
from throughtime.runs.drivers.base import Driver, Run, Say
from throughtime.runs.drivers.passes import Passes
from throughtime.runs.drivers.streaming import Streaming
from throughtime.runs.gradient import gradient_method
from throughtime.runs.interruption import Interruption, StopAtOnce, go_on, stopped_at_once, stopped_closing
from throughtime.runs.model import SequenceModel
from throughtime.runs.recording.first_record import first_record
from throughtime.runs.settings import OptimizationSettings, RunSettings
from throughtime.runs.tasks.base import FileTask, Task
from throughtime.runs.tasks.streaming import StreamTask

Close = Callable[[Record], None]
"""Function that writes what follows a training, such as a report, into the run folder."""

Weights = Mapping[str, Tensor]
"""Weights of a model, by name."""


def start(
    settings: RunSettings,
    folder: Path,
    overwrite: bool,
    say: Say,
    recurrent: Callable[[], nn.Module] | None = None,
    diagnose: Diagnose | None = None,
    follow: bool = False,
    kind: type[Task] | None = None,
    close: Close | None = None,
) -> Record:
    """Train a new model.

    Args:
        settings: the run's settings.
        folder: where it goes.
        overwrite: replace a run that is there.
        say: prints a line.
        recurrent: makes the recurrent layers; None: throughtime's, of the settings.
        diagnose: looks at the gradient's flow in throughtime's layers; None: nobody does.
        follow: when the file of a stream ends, wait for it to grow.
        kind: what is predicted; None: what the settings choose.
        close: writes what follows the training; None: nothing does.

    Returns:
        The record of the finished run.

    Raises:
        InterruptedRunError: a stop signal came; the message says how to go on.
        ThroughtimeError: of the kind that fits, before any work where the arguments are at fault.
    """
    with StopAtOnce("Interrupted before the training began, so nothing is saved: give the command again.") as signals:
        trained, weights = _trained(settings)
        driver = _driver(settings, kind, None if recurrent else diagnose, follow, trained)
        model, record = _begun(driver, folder, recurrent, weights)
        with new_folder(folder, overwrite):
            record = _train(driver, folder, model, record, None, say)
            signals.notice = stopped_closing(folder)
            return _closed(folder, record, close)


def preview(settings: RunSettings, folder: Path, say: Say, kind: type[Task] | None = None) -> None:
    """Print the first lines of a run, on its data and its choices.

    Nothing is trained or written.

    Args: see `start`.

    Raises:
        ThroughtimeError: as `start`.
    """
    if settings.optimization.online:
        raise ArgumentError("online", "is True", "a stream is not read before it is learned", "leave `dry_run` out")
    with StopAtOnce("Interrupted; nothing was to be saved."):
        trained, weights = _trained(settings)
        driver = _driver(settings, kind, None, False, trained)
        _, record = _begun(driver, folder, None, weights)
        for line in driver.opening_lines(record, folder):
            say(line)


def _begun(
    driver: Driver, folder: Path, recurrent: Callable[[], nn.Module] | None, weights: Weights | None
) -> tuple[SequenceModel, Record]:
    """Read the data of a new run, and return its untrained model and its first record."""
    driver.read(None)
    settings = driver.settings
    torch.manual_seed(settings.optimization.seed)
    _limit_threads(settings.optimization)
    model = _model(driver, recurrent() if recurrent else None)
    _take(model, weights)
    driver.check_model(model)
    return model, first_record(driver.task, settings, model, folder, *driver.data_record())


def resume(
    settings: RunSettings,
    folder: Path,
    say: Say,
    diagnose: Diagnose | None = None,
    follow: bool = False,
    kind: type[Task] | None = None,
    close: Close | None = None,
) -> Record | None:
    """Continue a run that was interrupted, or a finished one with more epochs.

    A run that stopped before its first checkpoint begins anew.

    Args: see `start`.

    Returns:
        The record of the run, or None when there was nothing left to do.

    Raises:
        InterruptedRunError: a stop signal came; the message says how to go on.
        ThroughtimeError: of the kind that fits, before any work.
    """
    with StopAtOnce(f"Interrupted before the training went on; {go_on(folder)}") as signals:
        read_record(folder)
        with only_writer(folder):
            record = read_record(folder)
            task, _ = task_and_model(record, folder, kind)  # which checks the record
            before = read_config(folder, kind)
            check_unedited(folder, before, record.settings, RECORD)
            driver = _driver(settings, kind, diagnose, follow, task if settings.optimization.start_from else None)
            check_same_run(driver.settings, before, record)
            if not _complete(record, driver.settings.optimization, before.optimization):
                record = _continue(driver, folder, record, before, say)
            elif record.closed:
                say(_nothing_left(folder, record, before))
                return None
            signals.notice = stopped_closing(folder)
            return _closed(folder, record, close)


def _continue(driver: Driver, folder: Path, record: Record, before: RunSettings, say: Say) -> Record:
    """Train on from the checkpoint of a run, or from its beginning where it has none yet."""
    checkpoint = _checkpoint_of(record, folder)
    state = None if checkpoint is None else torch.load(checkpoint, map_location="cpu", weights_only=True)
    if state is None:
        driver.read(None)
    else:
        check_unedited(folder, before, from_checkpoint(folder, driver.lasting_of, state), CHECKPOINT)
        from_checkpoint(folder, driver.read, state)
    driver.check_data(record, folder)
    settings = driver.settings
    torch.manual_seed(settings.optimization.seed)  # for a run without a checkpoint
    _limit_threads(settings.optimization)
    model = _model(driver, None)
    if state is None:
        _take(model, _trained(settings)[1])
    else:
        from_checkpoint(folder, lambda content: driver.check_state(content, model), state)
    return _train(driver, folder, model, record, checkpoint, say)


def _train(
    driver: Driver, folder: Path, model: SequenceModel, record: Record, checkpoint: Path | None, say: Say
) -> Record:
    with Interruption(stopped_at_once(folder)) as interruption:
        write_config(folder, driver.settings)
        if checkpoint is None:
            write_record(folder, record)
        record = driver.train(Run(folder, driver.settings, model, record, interruption), checkpoint, say)
        interruption.notice = stopped_closing(folder)
    return record


def _checkpoint_of(record: Record, folder: Path) -> Path | None:
    """Return the checkpoint of a run; None where it stopped before the first."""
    begins = record.results == Results() and record.outcome is Outcome.STARTED
    return None if begins and not (folder / CHECKPOINT).exists() else read_checkpoint(folder)


def _closed(folder: Path, record: Record, close: Close | None) -> Record:
    """Write what follows the training, and then that it is written."""
    if close is not None:
        close(record)
    record = replace(record, closed=True)
    write_record(folder, record)
    return record


def _nothing_left(folder: Path, record: Record, before: RunSettings) -> str:
    passes = "epoch" if record.results.epochs == 1 else "epochs"
    return (
        f"{folder} is complete: {record.results.epochs:g} {passes}, {OUTCOMES[record.outcome]}; to train on, give "
        f"`epochs` above {before.optimization.epochs}."
    )


def check_accelerator(accelerator: str) -> None:
    """Raise `ArgumentError` when a GPU is asked for and none is available."""
    if accelerator == "gpu" and not (torch.cuda.is_available() or torch.backends.mps.is_available()):
        raise ArgumentError("accelerator", "is gpu", "torch finds none on this machine", "leave it out, or give cpu")


def _trained(settings: RunSettings) -> tuple[Task | None, Weights | None]:
    """Return task and weights of the run to start from; None for both where there is none."""
    if not settings.optimization.start_from:
        return None, None
    task, model, _ = load_run(Path(settings.optimization.start_from))
    return task, model.state_dict()


def _take(model: SequenceModel, weights: Weights | None) -> None:
    if weights is None:
        return
    try:
        model.load_state_dict(weights)
    except RuntimeError:
        allowed = "the model of that run has another shape than the settings say"
        raise ArgumentError("start_from", "does not fit", allowed, "give its cell, sizes and task") from None


def _driver(
    settings: RunSettings, kind: type[Task] | None, diagnose: Diagnose | None, follow: bool, trained: Task | None
) -> Driver:
    """Return the training loop of a task. The checks that need neither data nor model come first."""
    kind = kind or kind_of(settings)
    if kind.online != settings.optimization.online:
        way = "online" if kind.online else "in passes over a file"
        raise ArgumentError("online", f"is {settings.optimization.online}", f"the task {kind.name} learns {way}")
    check_accelerator(settings.optimization.accelerator)
    check_board(settings.optimization.tensorboard)
    settings = with_task_settings(settings, kind)
    if issubclass(kind, StreamTask):
        return Streaming(kind, settings, follow)
    if not issubclass(kind, FileTask):
        raise ArgumentError("kind", f"is {kind.__name__}", "it must be a FileTask or a StreamTask")
    if follow:
        raise ArgumentError("follow", "waits for a file to grow", "that is for `online`", "give both, or neither")
    return Passes(kind, settings, diagnose, trained if isinstance(trained, FileTask) else None)


def _limit_threads(settings: OptimizationSettings) -> None:
    if settings.threads:
        torch.set_num_threads(settings.threads)


def _model(driver: Driver, layers: nn.Module | None) -> SequenceModel:
    settings = driver.settings
    return SequenceModel(driver.task, settings.model, layers, gradient_method(settings.optimization))


def _complete(record: Record, wanted: OptimizationSettings, before: OptimizationSettings) -> bool:
    if wanted.online:  # a stream may always have more
        return False
    if record.outcome is Outcome.FINISHED:
        return wanted.epochs <= record.results.epochs
    same = wanted.epochs <= before.epochs and wanted.patience == before.patience
    return record.outcome is Outcome.NO_IMPROVEMENT and same
