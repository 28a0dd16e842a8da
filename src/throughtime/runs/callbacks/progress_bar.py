"""Progress bar over all updates of a run, and a line per validation."""

import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from tqdm import tqdm

from throughtime.checks import check_size
from throughtime.records import BaselinesOf
from throughtime.runs.module import SequenceTraining
from throughtime.runs.recording.sentences import validation_line
from throughtime.runs.tasks.base import Task

_SMOOTHING = 0.05
"""Weight of the latest loss in the running mean that the bar shows."""
SAY_EVERY = 60.0
"""Seconds without a line after which one tells the progress, where no terminal shows the bar."""
_FORMAT = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{postfix}  {remaining} left"


class RunBar(ProgressBar):
    """Progress bar on a terminal, and a printed line per validation.

    Args:
        say: prints a line.
        task: says what a loss is.
        baselines: printed beside each validation loss.
        epochs: passes of the run.
    """

    def __init__(self, say: Callable[[str], None], task: Task, baselines: BaselinesOf, epochs: int) -> None:
        super().__init__()
        check_size("epochs", epochs, 1)
        self._task = task
        self._say = say
        self._baselines = baselines
        self._epochs = epochs
        self._smooth: float | None = None
        self._bar: tqdm[Any] | None = None
        self._began = self._said = 0.0
        self._before = 0

    def disable(self) -> None:
        """Show nothing; Lightning asks this of all processes but the first."""
        self._close()

    def enable(self) -> None:
        """Nothing to do: the bar opens when training starts."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the bar where the run stands."""
        self._began = self._said = time.monotonic()
        if isinstance(pl_module, SequenceTraining):
            self._before = pl_module.progress.updates
        if isinstance(pl_module, SequenceTraining) and sys.stderr.isatty():
            self._bar = tqdm(
                total=pl_module.total_updates,
                initial=pl_module.progress.updates,
                bar_format=_FORMAT,
                dynamic_ncols=True,
                file=sys.stderr,
                leave=False,
            )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Print notices about non-finite gradients, and move the bar on."""
        if isinstance(pl_module, SequenceTraining):
            for notice in pl_module.notices:
                self._print(notice)
            pl_module.notices.clear()
        if not isinstance(pl_module, SequenceTraining):
            return
        loss = pl_module.latest_loss
        self._smooth = loss if self._smooth is None else self._smooth + _SMOOTHING * (loss - self._smooth)
        window = pl_module.progress.window
        speed = window.tokens / window.seconds if window.seconds else 0.0
        told = f"loss {self._task.said_in_bar(self._smooth)}  {speed / 1000:.1f}k {self._task.units}/s"
        if self._bar is not None:
            self._bar.set_postfix_str(told, refresh=False)
            self._bar.update()
        elif time.monotonic() - self._said >= SAY_EVERY:
            self._print(f"update {self._progress(pl_module)}  {told}")

    def _progress(self, module: SequenceTraining) -> str:
        """Return the updates done of all, and the time left at the speed so far."""
        done, total = module.progress.updates, module.total_updates
        left = (total - done) * (time.monotonic() - self._began) / max(1, done - self._before)
        return f"{done:,} of {total:,}  {tqdm.format_interval(left)} left"

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the line of a validation."""
        if not isinstance(pl_module, SequenceTraining) or not pl_module.progress.rows:
            return
        row = pl_module.progress.rows[-1]
        self._print(validation_line(self._task, row, self._epochs, self._baselines, pl_module.metrics))

    def _print(self, line: str) -> None:
        self._said = time.monotonic()
        with nullcontext() if self._bar is None else self._bar.external_write_mode():
            self._say(line)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the bar away."""
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Take the bar away."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
