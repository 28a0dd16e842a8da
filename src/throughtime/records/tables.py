"""Tables of a run: CSV files with a heading."""

import csv
import io
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

from throughtime.records.files import content, damaged, write_aside
from throughtime.records.plain import from_plain
from throughtime.records.ranges import Count, FieldError, Finite, Label, Norm, NotNegative, Share, check_length, shown

METRICS = "metrics.csv"
UPDATES = "updates.csv"
STEP_NORMS = "step_norms.csv"
TABLES = (METRICS, UPDATES, STEP_NORMS)

LEAVE_OUT = "delete it, and what it holds is left out, or restore it"
"""Cure of a damaged table, which may be missing."""


@dataclass(frozen=True)
class MetricsRow:
    """Line of `metrics.csv`, written at a validation; training columns are means since the previous line.

    Losses are in the unit of the task, see `Record.loss_unit`. The gradient norm is the norm before clipping, `clipped`
    the share of updates whose gradient was rescaled. `tokens_per_second` counts targets, as in `Results`; `seconds`
    counts from the start of the run, interruptions left out.
    """

    update: Count
    epoch: NotNegative
    train_loss: float
    validation_loss: Finite
    learning_rate: NotNegative
    gradient_norm: Norm
    clipped: Share
    tokens_per_second: NotNegative
    seconds: NotNegative


@dataclass(frozen=True)
class UpdateRow:
    """Line of `updates.csv`: an update of the weights.

    The gradient norm is the norm before clipping. `scale` is the factor of the gradient (1: nothing was clipped; 0: the
    update was skipped), `clipped_steps` the share of steps at which per-step clipping took effect.
    """

    update: Count
    loss: float
    gradient_norm: Norm
    scale: NotNegative
    clipped_steps: Share


@dataclass(frozen=True)
class StepNormRow:
    """Line of `step_norms.csv`: update, layer ("recurrent.l0"), step of the chunk, norm.

    `norm` is the root mean square over the rows of ‖∂L/∂s_t‖ (all members of the state), total, before any clipping.
    """

    update: Count
    layer: Label
    step: Count
    norm: Norm


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
    try:
        return _rows(content(folder, name), kind)
    except (FieldError, UnicodeDecodeError, csv.Error) as error:
        fault = error if isinstance(error, FieldError) else "it is not text with commas"
        raise damaged(folder / name, LEAVE_OUT, fault) from None


def _rows(text: bytes, kind: type[Row]) -> list[Row]:
    """Parse a table; the error for what does not fit is a `FieldError`."""
    names = [entry.name for entry in fields(kind)]
    decoded = text.decode("utf-8-sig")  # a spreadsheet may have put a byte-order mark in front
    lines = list(csv.reader(io.StringIO(decoded, newline=""), strict=True))
    if not lines or lines[0] != names:
        raise FieldError(f"is {shown(','.join(lines[0]) if lines else '')}", ",".join(names), "its heading")
    if not decoded.endswith("\n"):
        raise FieldError("ends in the middle of a line", "whole, with a line break at its end", "it")
    rows: list[Row] = []
    for number, cells in enumerate(lines[1:], start=2):
        try:
            rows.append(_row(kind, names, cells))
            _check_order(rows[-2:])
        except FieldError as misfit:
            raise misfit.inside(f"line {number}") from None
    return rows


def _row(kind: type[Row], names: list[str], cells: list[str]) -> Row:
    check_length(cells, len(names), "")
    numbers = {name: _plain_cell(cell) for name, cell in zip(names, cells, strict=True)}
    texts = {entry.name for entry in fields(kind) if entry.type == Label}
    return from_plain(kind, numbers | {name: cells[names.index(name)] for name in texts})


def _plain_cell(cell: str) -> int | float | str:
    """Return the number that a cell spells as Python writes it; any other cell as it is."""
    for number in (int, float):
        with suppress(ValueError):
            if str(number(cell)) == cell:
                return number(cell)
    return cell


def _check_order(rows: Sequence[MetricsRow | UpdateRow | StepNormRow]) -> None:
    """Raise `FieldError` where a line counts fewer updates than the line before, or the same update again."""
    if len(rows) == 2:
        before, after = (row.update for row in rows)
        if after < before or (after == before and isinstance(rows[1], UpdateRow)):
            raise FieldError(f"is {after} after {before}", "in ascending order", ".update")


def lines_of(path: Path) -> int:
    """Return the number of lines of a table, its heading among them."""
    with path.open("rb") as handle:
        return sum(piece.count(b"\n") for piece in iter(lambda: handle.read(1 << 16), b""))


def write_metrics(folder: Path, rows: Iterable[MetricsRow]) -> None:
    """Write `metrics.csv`, a line for each validation."""
    write_table(folder / METRICS, MetricsRow, rows)


def read_metrics(folder: Path) -> list[MetricsRow]:
    """Read `metrics.csv`.

    Raises:
        RunFolderError: the file is missing or damaged.
    """
    return read_table(folder, METRICS, MetricsRow)
