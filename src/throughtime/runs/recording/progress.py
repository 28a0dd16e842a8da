"""Progress of a run, as plain numbers for the checkpoint and metrics.csv."""

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from throughtime.records import MetricsRow, Results
from throughtime.records.ranges import Count, NotNegative


@dataclass
class Window:
    """Sums over the updates since the last validation.

    `tokens` counts targets (`Task.count`), and `loss` is the sum over these targets.
    """

    updates: Count = 0
    tokens: Count = 0
    loss: float = 0.0
    gradient_norm: NotNegative = 0.0
    clipped: Count = 0
    seconds: NotNegative = 0.0


@dataclass
class Progress:
    """Progress of a run: updates, seconds, best loss, rows of metrics.csv.

    Attributes:
        updates: how often the weights were updated.
        seconds: time spent, interruptions left out.
        best_loss: the lowest validation loss, in the unit of the task.
        best_update: the update after which it was measured.
        stale: validations in a row without improvement.
        reductions: validations without improvement in the whole run, at each of which the schedule "plateau" halves the
            learning rate.
        window: sums since the last validation.
        rows: of metrics.csv, a row per validation.
    """

    updates: Count = 0
    seconds: NotNegative = 0.0
    best_loss: float = math.inf
    best_update: Count = 0
    stale: Count = 0
    reductions: Count = 0
    window: Window = field(default_factory=Window)
    rows: list[MetricsRow] = field(default_factory=list)

    def note_update(self, mean_loss: float, tokens: int, gradient_norm: float, clipped: bool) -> None:
        """Count one update, with the mean loss of its targets."""
        self.updates += 1
        self.window.updates += 1
        self.window.tokens += tokens
        self.window.loss += mean_loss * tokens
        self.window.gradient_norm += gradient_norm
        self.window.clipped += clipped

    def note_validation(self, loss: float, epoch: float, learning_rate: float) -> bool:
        """Add a row for a validation; return whether its loss is the best so far."""
        window, count = self.window, max(1, self.window.updates)
        row = MetricsRow(
            update=self.updates,
            epoch=epoch,
            train_loss=window.loss / max(1, window.tokens),
            validation_loss=loss,
            learning_rate=learning_rate,
            gradient_norm=window.gradient_norm / count,
            clipped=window.clipped / count,
            tokens_per_second=window.tokens / window.seconds if window.seconds else 0.0,
            seconds=self.seconds,
        )
        self.rows.append(row)
        self.window = Window()
        improved = loss < self.best_loss
        self.stale = 0 if improved else self.stale + 1
        self.reductions += not improved
        if improved:
            self.best_loss, self.best_update = loss, self.updates
        return improved

    def results(self, updates_per_epoch: int) -> Results:
        """Return the results so far, as `record.json` keeps them."""
        speeds = [row.tokens_per_second for row in self.rows]
        return Results(
            updates=self.updates,
            epochs=round(self.updates / updates_per_epoch, 4),
            best_validation_loss=self.best_loss if self.rows else None,
            best_update=self.best_update,
            last_validation_loss=self.rows[-1].validation_loss if self.rows else None,
            tokens_per_second=round(sum(speeds) / len(speeds), 1) if speeds else 0.0,
            seconds=round(self.seconds, 2),
        )

    def state_dict(self) -> dict[str, Any]:
        """Return plain values for the checkpoint."""
        return asdict(self)

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> "Progress":
        """Return the progress that `state_dict` described."""
        known = {entry.name: state[entry.name] for entry in fields(cls)}
        rows = [MetricsRow(**row) for row in state["rows"]]
        return cls(**{**known, "window": Window(**state["window"]), "rows": rows})
