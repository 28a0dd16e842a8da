"""Callback that diagnoses the gradient's flow before, during and after a run."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from throughtime.checks import check_size
from throughtime.models.contexts import in_evaluation_mode
from throughtime.records import DIAGNOSES, Flow, read_flows, write_flows
from throughtime.runs.checkpoints import load_weights
from throughtime.runs.diagnoses import Diagnose
from throughtime.runs.model import SequenceModel
from throughtime.runs.module import SequenceTraining, sequence_training
from throughtime.runs.tasks.base import Data, Task


class Diagnoses(Callback):
    """Callback that writes `diagnosis.json`, and keeps the diagnoses of an interrupted run.

    Args:
        folder: the run folder.
        task: what the model predicts.
        diagnose: makes a diagnosis; it runs with dropout off and changes no random state.
        data: the data that it looks at.
        every: updates between two diagnoses; 0: only before the first update, and of the weights that are kept.
    """

    def __init__(self, folder: Path, task: Task, diagnose: Diagnose, data: Data, every: int) -> None:
        check_size("every", every, 0)
        self._folder = folder
        self._task = task
        self._diagnose = diagnose
        self._data = data
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
        """Diagnose the weights that are kept: those with the best validation loss."""
        module = sequence_training(pl_module)
        progress = module.progress
        if not progress.rows or progress.best_update == progress.updates:
            self._look(module.model, progress.updates)
            return
        kept = deepcopy(module.model)
        load_weights(self._folder, kept)
        self._look(kept, progress.best_update)

    def _look_if_due(self, module: SequenceTraining) -> None:
        update = module.progress.updates
        if update == 0 or (self._every and update % self._every == 0):
            self._look(module.model, update)

    def _look(self, model: SequenceModel, update: int) -> None:
        if any(flow.update == update for flow in self._flows):
            return
        with in_evaluation_mode(model):
            flow = replace(self._diagnose(self._task, model, self._data), update=update)
        self._flows = sorted([*self._flows, flow], key=lambda each: each.update or 0)
        write_flows(self._folder, self._flows)
