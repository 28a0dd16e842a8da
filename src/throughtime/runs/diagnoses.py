"""Diagnoses of the gradient's flow during a run."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from throughtime.cells.base import check_size
from throughtime.data.streams import Chunk
from throughtime.models.contexts import in_evaluation_mode
from throughtime.records import DIAGNOSES, Flow, read_flows, write_flows
from throughtime.runs.model import SequenceModel
from throughtime.runs.module import SequenceTraining, sequence_training
from throughtime.runs.settings import OptimizationSettings
from throughtime.runs.tasks.base import Task
from throughtime.training.diagnosing import diagnose

STEPS, ROWS = 200, 16
"""Time steps and rows of the windows that a run is diagnosed on."""

Diagnose: TypeAlias = Callable[[Task, SequenceModel, Chunk], Flow]
"""Function that diagnoses a model on a chunk, from a zero initial state."""


def reach(settings: OptimizationSettings) -> int:
    """Return how many steps back the gradient is wanted.

    It is the horizon, or the mean reach of the losses of an update.
    """
    return settings.horizon or max(1, settings.update_every // 2)


def diagnose_task(
    task: Task, model: SequenceModel, chunk: Chunk, wanted_lag: int, say: Callable[[str], None] | None = None
) -> Flow:
    """Follow the gradient of the task's objective over a chunk, without dropout.

    Args:
        task: whose objective is followed.
        model: the model of a run, in any mode.
        chunk: windows of data; of it inputs, targets and mask are read.
        wanted_lag: how many steps back the gradient is wanted; no more than the chunk has.
        say: see `gradient_flow`.
    """

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        mask = None if chunk.mask is None else chunk.mask.to(targets.device)  # as `diagnose` moves inputs and targets
        return task.objective(outputs, chunk._replace(targets=targets, mask=mask))

    return diagnose(model, loss, chunk.inputs, chunk.targets, wanted_lag, say)


class Diagnoses(Callback):
    """Callback that writes `diagnosis.json`, and keeps the diagnoses of an interrupted run.

    Args:
        folder: the run folder.
        task: what the model predicts.
        diagnose: makes a diagnosis; it runs with dropout off and changes no random state.
        chunk: the data that it looks at.
        every: updates between two diagnoses; 0: only before the first update and after the last one.
    """

    def __init__(self, folder: Path, task: Task, diagnose: Diagnose, chunk: Chunk, every: int) -> None:
        check_size("every", every, 0)
        self._folder = folder
        self._task = task
        self._diagnose = diagnose
        self._chunk = chunk
        self._every = every
        self._flows: list[Flow] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Diagnose the untrained model, or drop diagnoses made after the last checkpoint."""
        module = sequence_training(pl_module)
        if (self._folder / DIAGNOSES).exists():
            flows = read_flows(self._folder)
            self._flows = [flow for flow in flows if flow.update is not None and flow.update <= module.progress.updates]
        self._look_if_due(module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Diagnose the model every `every` updates."""
        self._look_if_due(sequence_training(pl_module))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Diagnose what has been trained."""
        self._look(sequence_training(pl_module))

    def _look_if_due(self, module: SequenceTraining) -> None:
        update = module.progress.updates
        if update == 0 or (self._every and update % self._every == 0):
            self._look(module)

    def _look(self, module: SequenceTraining) -> None:
        update = module.progress.updates
        if any(flow.update == update for flow in self._flows):
            return
        with in_evaluation_mode(module.model):
            self._flows.append(replace(self._diagnose(self._task, module.model, self._chunk), update=update))
        write_flows(self._folder, self._flows)
