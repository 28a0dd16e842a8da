"""Tables of a run: CSV files with a heading."""

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
    """Line of `metrics.csv`, written at a validation; training columns are means since the previous line.

    Losses are in the unit of the task, see `Record.loss_unit`. The gradient norm is the norm before clipping, `clipped`
    the share of updates whose gradient was rescaled. `tokens_per_second` counts targets, as in `Results`; `seconds`
    counts from the start of the run, interruptions left out.
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
    """Line of `updates.csv`: an update of the weights.

    The gradient norm is the norm before clipping. `scale` is the factor of the gradient (1: nothing was clipped; 0: the
    update was skipped), `clipped_steps` the share of steps at which per-step clipping took effect.
    """

    update: int
    loss: float
    gradient_norm: float
    scale: float
    clipped_steps: float


@dataclass(frozen=True)
class StepNormRow:
    """Line of `step_norms.csv`: update, layer ("recurrent.l0"), step of the chunk, norm.

    `norm` is the root mean square over the rows of ‖∂L/∂s_t‖ (all members of the state), total, before any clipping.
    """

    update: int
    layer: str
    step: int
    norm: float


Row = TypeVar("Row", MetricsRow, UpdateRow, StepNormRow)


def write_table(path: Path, kind: type[Row], rows: Iterable[Row]) -> None:
    """Write a table atomically; `kind` is the class of its rows."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([entry.name for entry in fields(kind)])
    writer.writerows(vars(row).values() for row in rows)
    write_aside(path, text.getvalue().encode())


def read_table(folder: Path, name: str, kind: type[Row]) -> list[Row]:
    """Read a table; `kind` is the class of its rows.

    Raises:
        RunFolderError: the table is missing or damaged.
    """
    kinds: dict[str, Any] = {entry.name: entry.type for entry in fields(kind)}  # int, float, str: they convert a cell
    with io.StringIO(content(folder, name).decode("utf-8", "replace"), newline="") as text:
        try:
            lines = csv.DictReader(text)
            if list(lines.fieldnames or []) != list(kinds):
                raise KeyError(name)
            return [kind(**{key: kinds[key](value) for key, value in line.items()}) for line in lines]
        except (KeyError, TypeError, ValueError, csv.Error):
            raise damaged(folder / name, "delete it, and what it holds is left out, or restore it") from None


def write_metrics(folder: Path, rows: Iterable[MetricsRow]) -> None:
    """Write `metrics.csv`, a line for each validation."""
    write_table(folder / METRICS, MetricsRow, rows)


def read_metrics(folder: Path) -> list[MetricsRow]:
    """Read `metrics.csv`.

    Raises:
        RunFolderError: the file is missing or damaged.
    """
    return read_table(folder, METRICS, MetricsRow)
