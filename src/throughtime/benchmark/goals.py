"""Comparison of the measured figures with the goals."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from math import exp, log

from throughtime.benchmark.figures import Measurement
from throughtime.benchmark.grid import (
    GEOMEAN_GOALS,
    GOALS_THREADS,
    GRID,
    own_cost_goal,
    ratio_goal,
    saved_goal,
    share_goal,
)


class Quantity(Enum):
    """Quantity that has a goal; the value is its name in tables."""

    RATIO = "torch/ours"
    SHARE = "share"
    JAX = "jax/ours"
    OWN_COST = "own cost"
    SAVED = "saved"


COSTS = (Quantity.OWN_COST, Quantity.SAVED)
"""Quantities that are better small."""


@dataclass(frozen=True)
class GoalCheck:
    """Comparison of a quantity with a goal: at least `bound`; costs at most."""

    quantity: Quantity
    value: float
    bound: float

    @property
    def met(self) -> bool:
        """Whether the goal is reached."""
        return self.value <= self.bound if self.quantity in COSTS else self.value >= self.bound

    @property
    def word(self) -> str:
        """The result in one word."""
        return "ok" if self.met else "ABOVE" if self.quantity in COSTS else "BELOW"


def goal_checks(measurement: Measurement) -> list[GoalCheck]:
    """Compare a case with its goals; empty without timings."""
    case, threads = measurement.case, measurement.threads
    goals = (
        (Quantity.RATIO, measurement.ratio, ratio_goal(case, threads)),
        (Quantity.SHARE, measurement.share, share_goal(case, threads)),
        (Quantity.JAX, measurement.jax_ratio, 1.0),
        (Quantity.OWN_COST, measurement.own_cost, own_cost_goal(case)),
        (Quantity.SAVED, measurement.saved_ratio, saved_goal(case)),
    )
    return [
        GoalCheck(quantity, value, bound) for quantity, value, bound in goals if value is not None and bound is not None
    ]


@dataclass(frozen=True)
class Mean:
    """Mean ratio of a cell over the grid.

    Attributes:
        shapes: number of shapes.
        geomean, geomean_of_minima: geometric means of the ratios of medians, and of the ratios of minima.
        worst: the case with the smallest ratio.
        goal: the least `geomean`; None unless the whole grid was measured with `GOALS_THREADS` threads.
    """

    cell: str
    shapes: int
    geomean: float
    geomean_of_minima: float
    worst: Measurement
    goal: float | None

    @property
    def met(self) -> bool:
        """Whether the goal is reached; True without a goal."""
        return self.goal is None or self.geomean >= self.goal


def geomean(values: Sequence[float]) -> float:
    """Return the geometric mean of positive numbers."""
    return exp(sum(map(log, values)) / len(values))


def means(measurements: Sequence[Measurement]) -> list[Mean]:
    """Return the mean of every cell that was timed, variants left out."""
    by_cell: dict[str, list[Measurement]] = {}
    for measurement in measurements:
        if not measurement.case.variant.name and measurement.ratio:
            by_cell.setdefault(measurement.case.cell, []).append(measurement)
    return [_mean(cell, timed) for cell, timed in by_cell.items()]


def _mean(cell: str, timed: list[Measurement]) -> Mean:
    whole = {measurement.case.shape for measurement in timed} == set(GRID) and {
        measurement.threads for measurement in timed
    } == {GOALS_THREADS}
    return Mean(
        cell,
        len(timed),
        geomean([measurement.ratio for measurement in timed if measurement.ratio]),
        geomean([measurement.ratio_of_minima for measurement in timed if measurement.ratio_of_minima]),
        min(timed, key=lambda measurement: measurement.ratio or 0.0),
        GEOMEAN_GOALS[cell] if whole else None,
    )
