"""The figures of whole trainings as text, and as plain values for a file."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from throughtime.benchmark.tables import aligned, finite
from throughtime.benchmark.trainings import TrainingFigures, TrainingPair, TrainingTask
from throughtime.runs.tasks.text import EPOCHS
from throughtime.wording import plural

EXPLANATION = (
    "One model trained twice: with throughtime's recurrent layers, then with torch.nn's. Seed, initial weights, chunks",
    "and training loop are the same. loss: the best on the held-out text, in nats per character; s: time in training;",
    "ratio: tokens/s of throughtime over those of torch.nn, in the same pair.",
)

_NAMES = ("layers", "loss", "s", "tokens/s", "ratio")
_WIDTHS = (-14, 12, 10, 12, 9)


def trainings_heading(task: TrainingTask) -> str:
    """Return the line above the table of a cell."""
    settings = task.settings()
    model, epochs = settings.model, plural(settings.optimization.epochs or EPOCHS, "epoch")
    return f"-- {task.file}: {task.cell}, {plural(model.num_layers, 'layer')} of {model.hidden_size}, {epochs}"


def trainings_header() -> str:
    """Return the names of the columns."""
    return aligned(_NAMES, _WIDTHS)


def training_row(layers: str, figures: TrainingFigures, ratio: float | None = None) -> str:
    """Return the line of one training; `ratio` is known once its pair is complete."""
    cells = (layers, f"{figures.loss:.6f}", f"{figures.seconds:.1f}", f"{figures.tokens_per_second:,.0f}")
    return aligned(cells if ratio is None else (*cells, f"{ratio:.3f}"), _WIDTHS)


def trainings_as_json(
    machine: dict[str, Any], tasks: Sequence[TrainingTask], pairs: Sequence[TrainingPair], complete: bool
) -> dict[str, Any]:
    """Return all measurements for JSON.

    Args:
        machine: see `machine.machine`.
        tasks: what was to be trained, a cell each.
        pairs: the trainings.
        complete: False if the run was ended early.
    """
    rows = [{**asdict(pair), "ratio": pair.ratio} for pair in pairs]
    return finite(
        {"machine": machine, "tasks": [asdict(task) for task in tasks], "complete": complete, "trainings": rows}
    )
