"""Course of a training, read off its losses: overfitting, still falling, or settled."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import pairwise
from statistics import mean

from throughtime.records import MetricsRow, UpdateRow

MATERIAL = 0.02
"""Share of a naive prediction's loss that a rise or a fall must exceed to count."""
NOISE = 3.0
"""Standard errors, by the noise of the validations, that a rise or a fall must exceed to count."""
FEW = 3
"""With fewer validations the training losses of single updates tell whether the loss still falls."""


class Trend(Enum):
    """Trends that the losses of a training may show at its end."""

    OVERFITTING = auto()
    FALLING = auto()
    SETTLED = auto()
    UNKNOWN = auto()


@dataclass(frozen=True)
class Course:
    """Course of a training.

    Attributes:
        trend: what the losses show.
        best: the validation with the best loss; None before the first.
        last: the last validation.
        change: by how much the loss has risen since the best, or has fallen over the last third of the training.
        which: the loss that changed, "validation", or "training" where there are fewer than three validations.
    """

    trend: Trend
    best: MetricsRow | None = None
    last: MetricsRow | None = None
    change: float = 0.0
    which: str = "validation"


def course_of(rows: Sequence[MetricsRow], updates: Sequence[UpdateRow], naive: float | None) -> Course:
    """Return the course of a training in passes.

    Overfitting: at least two validations follow the best, the last half of them is worse than the two beside the best,
    and the training loss has fallen further. (The best itself is low by chance, too.) Falling: the best lies in the
    last third, and the last sixth is better than the validations from one half to two thirds. A change counts where it
    exceeds 2 % of the naive loss and three standard errors. The noise of a single validation is estimated from the
    moves against the course: up before the best, or down after it.

    Args:
        rows: the validations.
        updates: the updates that were recorded one by one.
        naive: the loss of the best naive prediction; None: that of the best validation stands for it.
    """
    rows = [row for row in rows if math.isfinite(row.validation_loss)]
    if not rows:
        return Course(Trend.UNKNOWN)
    place = min(range(len(rows)), key=lambda number: rows[number].validation_loss)
    best, last, after = rows[place], rows[-1], rows[place + 1 :]
    least = MATERIAL * abs(best.validation_loss if naive is None else naive)
    losses = [row.validation_loss for row in rows]
    noise, late = _noise(losses, place), losses[place + 1 + len(after) // 2 :]
    beside = losses[max(0, place - 1) : place] + losses[place + 1 : place + 2]
    if len(after) > 1 and last.train_loss < best.train_loss and _above(late, beside, least, noise):
        return Course(Trend.OVERFITTING, best, last, mean(late) - best.validation_loss)
    if len(rows) < FEW:
        fall = _fall([update.loss for update in updates if math.isfinite(update.loss)])
        if fall is None:
            return Course(Trend.UNKNOWN, best, last)
        return Course(Trend.FALLING if fall > least else Trend.SETTLED, best, last, fall, "training")
    share = [row.update / last.update for row in rows]
    before = [loss for loss, part in zip(losses, share, strict=True) if 1 / 2 < part <= 2 / 3] or losses[:-1][-1:]
    end = [loss for loss, part in zip(losses, share, strict=True) if part > 5 / 6]
    falls = share[place] > 2 / 3 and _above(before, end, least, noise)
    return Course(Trend.FALLING if falls else Trend.SETTLED, best, last, mean(before) - mean(end))


def _above(high: Sequence[float], low: Sequence[float], least: float, noise: float) -> bool:
    """Return whether losses are higher than others by more than `least` and by more than noise explains."""
    difference = mean(high) - mean(low)
    return difference > least and difference > NOISE * noise * math.sqrt(1 / len(high) + 1 / len(low))


def _noise(losses: Sequence[float], place: int) -> float:
    """Return the standard deviation of a validation's noise, where the best is at `place`; 0 for a smooth course."""
    moves = [after - before for before, after in pairwise(losses)]
    against = [max(0.0, move) for move in moves[:place]] + [max(0.0, -move) for move in moves[place:]]
    # Of noise alone half of the moves are against the course, and a move has the mean size 2 / sqrt(pi).
    return 2 * mean(against) * math.sqrt(math.pi) / 2 if moves else 0.0


def _fall(losses: Sequence[float]) -> float | None:
    """Return the fall from the end of the first two thirds to the end; None for fewer than 30 updates.

    Each end is a mean over a tenth of the updates.
    """
    width, middle = len(losses) // 10, 2 * len(losses) // 3
    if width < 3:
        return None
    return (sum(losses[middle - width : middle]) - sum(losses[-width:])) / width
