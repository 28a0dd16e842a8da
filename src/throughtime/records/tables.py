"""The tables of a run: lines of numbers under a heading, as CSV."""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from throughtime.records.files import content, damaged, write_aside

METRICS = "metrics.csv"
UPDATES = "updates.csv"
STEP_NORMS = "step_norms.csv"


@dataclass(frozen=True)
class MetricsRow:
    """One line of `metrics.csv`, written at a validation; the training columns are means since the line before.

    Losses are in nats per symbol, the gradient norm is the one before clipping, `clipped` is the share of updates
    whose gradient was rescaled, `seconds` counts from the start of the run, interruptions left out.
    """

    update: int
    epoch: float
    train_loss: float
    validation_loss: float
    learning_rate: float
    gradient_norm: float
    clipped: float
    tokens_per_second: float
    seconds: float


@dataclass(frozen=True)
class UpdateRow:
    """One line of `updates.csv`: an update of the weights.

    The gradient's norm is the one before clipping, `scale` what the gradient was multiplied by (1: nothing was
    clipped; 0: the update was skipped), `clipped_steps` the share of steps at which per-step clipping took hold.
    """

    update: int
    loss: float
    gradient_norm: float
    scale: float
    clipped_steps: float


@dataclass(frozen=True)
class StepNormRow:
    """One line of `step_norms.csv`: at an update, in a layer ("recurrent.l0"), at a step of the chunk counted from 0.

    `norm` is the root mean square over the rows of ‖∂L/∂s_t‖ (all members of the state), total, before any clipping.
    """

    update: int
    layer: str
    step: int
    norm: float


Row = TypeVar("Row", MetricsRow, UpdateRow, StepNormRow)


def write_table(path: Path, kind: type[Row], rows: Iterable[Row]) -> None:
    """Write a table of this kind of row, aside and renamed."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([entry.name for entry in fields(kind)])
    writer.writerows(vars(row).values() for row in rows)
    write_aside(path, text.getvalue().encode())


def read_table(folder: Path, name: str, kind: type[Row]) -> list[Row]:
    """Read a table of this kind of row; raises `RunFolderError` when it is missing or damaged."""
    kinds: dict[str, Any] = {entry.name: entry.type for entry in fields(kind)}
    with io.StringIO(content(folder, name).decode("utf-8", "replace"), newline="") as text:
        try:
            lines = csv.DictReader(text)
            if list(lines.fieldnames or []) != list(kinds):
                raise KeyError(name)
            return [kind(**{key: kinds[key](value) for key, value in line.items()}) for line in lines]
        except (KeyError, TypeError, ValueError, csv.Error):
            raise damaged(folder / name, "delete it, and what it holds is left out, or restore it") from None


def write_metrics(folder: Path, rows: Iterable[MetricsRow]) -> None:
    """Write `metrics.csv`, one line per validation."""
    write_table(folder / METRICS, MetricsRow, rows)


def read_metrics(folder: Path) -> list[MetricsRow]:
    """Read `metrics.csv`; raises `RunFolderError` when it is missing or damaged."""
    return read_table(folder, METRICS, MetricsRow)
