"""Lines that a run prints, made from its records and numbers."""

import math
from collections.abc import Sequence

from throughtime.records import BaselinesOf, MetricsRow, Record, named
from throughtime.report.loss_sentences import OUTCOMES
from throughtime.runs.settings import OptimizationSettings
from throughtime.runs.tasks.base import Metric, Task
from throughtime.wording import plural


def update_phrase(settings: OptimizationSettings, streams: int) -> str:
    """Return the data of an update in words, such as "50 steps of 20 streams".

    `streams` is their number.
    """
    about = "about " if settings.chunk_jitter else ""
    reach = f", each loss reaching back {plural(settings.horizon, 'step')}" if settings.horizon else ""
    return f"{about}{plural(settings.update_every, 'step')} of {plural(streams, 'stream')}{reach}"


_SHOWN = 3
"""Most metrics in the line of a validation."""


def validation_line(
    task: Task, row: MetricsRow, epochs: int, baselines: BaselinesOf, metrics: Sequence[Metric] = ()
) -> str:
    """Return the line printed after a validation, with the first metrics beside the loss."""
    measured = "".join(f"{metric.name} {metric.value:.4g}  " for metric in metrics[:_SHOWN])
    return (
        f"epoch {row.epoch:5.2f}/{epochs}  train {row.train_loss:.3f}  validation {task.said(row.validation_loss)}  "
        f"{measured}{task.said_beside(baselines)}  {row.tokens_per_second / 1000:5.1f}k {task.units}/s  "
        f"{row.seconds:4.0f} s"
    )


def opening_lines(task: Task, record: Record, run: str, epochs: int, updates_per_epoch: int, update: str) -> list[str]:
    """Return the lines printed before training."""
    shape = record.model
    return [
        *task.opening_lines(record),
        f"Model   {shape.cell.upper()}, {plural(shape.num_layers, 'layer')} of {shape.hidden_size}, "
        f"{shape.parameters:,} parameters",
        f"Run     {run}: {plural(epochs, 'epoch')} of {plural(updates_per_epoch, 'update')}, each over {update}",
        "",
    ]


def divergence_lines(task: Task, rows: list[MetricsRow], baselines: BaselinesOf) -> list[str]:
    """Return a warning where the training loss exceeds every baseline for a whole epoch."""
    slack = 1e-6  # of an epoch: the epochs are quotients
    last = [row for row in rows if row.epoch > rows[-1].epoch - 1 + slack]
    began = rows[-len(last) - 1].epoch if len(rows) > len(last) else 0.0
    name, worst = max(named(baselines).items(), key=lambda level: level[1], default=("", math.inf))
    if not last or last[-1].epoch - began < 1 - slack or min(row.train_loss for row in last) <= worst:
        return []
    return [
        f"Warning The training has diverged: for a whole epoch its loss was at least "
        f"{task.said(min(row.train_loss for row in last))}, and the worst naive prediction ({name}) has "
        f"{task.said(worst)}.",
        "        A smaller `learning_rate`, a longer `warm_up` or a smaller `clip_norm` keeps it in range.",
    ]


def closing_lines(
    task: Task, record: Record, epochs: int, rows: list[MetricsRow], metrics: Sequence[Metric] = ()
) -> list[str]:
    """Return the lines that end a run.

    `metrics` are those of its examination, the mean loss first.
    """
    results = record.results
    best = math.inf if results.best_validation_loss is None else results.best_validation_loss
    return [
        "",
        f"Done    {results.epochs:g} of {plural(epochs, 'epoch')} in {results.seconds:.0f} s, "
        f"{OUTCOMES[record.outcome]}; kept: the weights of update {results.best_update}, with the best validation loss",
        *task.result_lines([Metric(task.loss_name, best, task.loss_unit), *metrics[1:]], record.baselines),
        *divergence_lines(task, rows, record.baselines),
        "",
    ]
