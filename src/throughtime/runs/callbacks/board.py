"""Scalars for TensorBoard."""

import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from throughtime.errors import ArgumentError
from throughtime.records import TENSORBOARD
from throughtime.runs.module import SequenceTraining


def check_board(wanted: bool) -> None:
    """Raise `ArgumentError` when TensorBoard is wanted and not installed."""
    if wanted and find_spec("tensorboard") is None:
        raise ArgumentError(
            "tensorboard",
            "is True",
            "it needs tensorboard, which is not installed",
            "install it (pip install tensorboard), or leave it out; updates.csv and step_norms.csv have the numbers",
        )


class Board(Callback):
    """Callback that writes losses and gradient norms to RUN/tensorboard.

    Args:
        folder: the run folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / TENSORBOARD
        self._writer: Any = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the event file. Events after the last checkpoint, which a killed run may have written, are hidden."""
        from torch.utils.tensorboard import SummaryWriter

        if isinstance(pl_module, SequenceTraining):
            self._writer = SummaryWriter(str(self._folder), purge_step=pl_module.progress.updates + 1)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write the scalars of an update, and the norms of a snapshot if taken."""
        if not isinstance(pl_module, SequenceTraining) or pl_module.latest is None:
            return
        row = pl_module.latest
        scalars = {"train/loss": row.loss, "gradient/norm": row.gradient_norm, "gradient/scale": row.scale}
        for snapshot in pl_module.history.snapshots_at(row.update):
            scalars |= {
                f"gradient/{snapshot.layer}/first": snapshot.norms[0],
                f"gradient/{snapshot.layer}/last": snapshot.norms[-1],
            }
        self._add(scalars, row.update)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the latest line of metrics.csv."""
        if isinstance(pl_module, SequenceTraining) and pl_module.progress.rows:
            row = pl_module.progress.rows[-1]
            scalars = {"validation/loss": row.validation_loss, "train/learning_rate": row.learning_rate}
            scalars |= {f"validation/{metric.name}": metric.value for metric in pl_module.metrics}
            self._add(scalars, row.update)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the file."""
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Close the file."""
        self._close()

    def _add(self, scalars: dict[str, float], update: int) -> None:
        for name, value in scalars.items():
            if self._writer is not None and math.isfinite(value):
                self._writer.add_scalar(name, value, update)

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
