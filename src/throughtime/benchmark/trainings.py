"""Whole trainings on a text with throughtime's layers and with torch.nn's.

Seed, initial weights, chunks and training loop are the same on both sides; only the recurrent layers differ.
"""

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from torch import nn

from throughtime.benchmark.sides import TORCH
from throughtime.errors import ArgumentError
from throughtime.wording import listed

if TYPE_CHECKING:
    from throughtime.runs.settings import RunSettings


@dataclass(frozen=True)
class TrainingTask:
    """Training task of both sides.

    Attributes:
        file: a file of text, or "pydoc".
        cell: one that torch.nn has too, such as "lstm".
        hidden_size, num_layers, epochs: 0 for the default of `throughtime train`.
        threads: of torch; 0 for its own choice.
    """

    file: str
    cell: str = "lstm"
    hidden_size: int = 0
    num_layers: int = 0
    epochs: int = 0
    threads: int = 0

    def settings(self) -> "RunSettings":
        """Return the settings of the run, on the CPU.

        Raises:
            ArgumentError: a value is out of range, or torch.nn has no such cell.
        """
        if self.cell not in TORCH:
            raise ArgumentError(
                "cells", f"has {self.cell!r}", "torch.nn must have the cell too", f"give some of {listed(TORCH)}"
            )
        # Imported here because the training needs lightning, which the rest of the benchmark does not.
        from throughtime.runs.choice import settings_from

        given = {name: value for name, value in asdict(self).items() if value}
        return settings_from({**given, "accelerator": "cpu"})


@dataclass(frozen=True)
class TrainingFigures:
    """Results of one training.

    Attributes:
        loss: the best loss on the held-out text, in nats per character.
        seconds: time in training.
        tokens_per_second: characters trained on per second.
    """

    loss: float
    seconds: float
    tokens_per_second: float


@dataclass(frozen=True)
class TrainingPair:
    """Two trainings of the same task, one after the other."""

    cell: str
    ours: TrainingFigures
    torch: TrainingFigures

    @property
    def ratio(self) -> float:
        """Ratio of tokens per second, throughtime over torch.nn."""
        return self.ours.tokens_per_second / self.torch.tokens_per_second


def train_text(task: TrainingTask, with_torch: bool) -> TrainingFigures:
    """Train a model in a temporary folder.

    Args:
        task: what to train.
        with_torch: use torch.nn's recurrent layers instead of throughtime's.

    Raises:
        ThroughtimeError: a setting is out of range, or the text cannot be read.
    """
    from throughtime.runs.engine import start
    from throughtime.runs.tasks.symbols import SymbolSettings

    settings = task.settings()
    model, symbols = settings.model, cast(SymbolSettings, settings.task)

    def torch_layers() -> nn.Module:
        return TORCH[model.cell](symbols.embedding_size or model.hidden_size, model.hidden_size, model.num_layers)

    with tempfile.TemporaryDirectory() as folder:
        record = start(
            settings,
            Path(folder) / "run",
            overwrite=False,
            say=lambda line: None,
            recurrent=torch_layers if with_torch else None,
        )
    results = record.results
    loss = float("nan") if results.best_validation_loss is None else results.best_validation_loss
    return TrainingFigures(loss, results.seconds, results.tokens_per_second)
