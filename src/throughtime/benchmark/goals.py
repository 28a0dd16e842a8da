"""The measured figures against the goals."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from math import exp, log

from throughtime.benchmark.grid import (
    GEOMEAN_GOALS,
    GOALS_THREADS,
    GRID,
    own_cost_goal,
    ratio_goal,
    saved_goal,
    share_goal,
)
from throughtime.benchmark.measurement import Measurement


class Quantity(Enum):
    """What a goal is about."""

    RATIO = "torch/ours"
    SHARE = "share"
    JAX = "jax/ours"
    OWN_COST = "own cost"
    SAVED = "saved"


COSTS = (Quantity.OWN_COST, Quantity.SAVED)
"""What is to be small."""


@dataclass(frozen=True)
class GoalCheck:
    """One quantity and its goal: at least `bound`, of costs at most."""

    quantity: Quantity
    value: float
    bound: float

    @property
    def met(self) -> bool:
        """Whether the goal is reached."""
        return self.value <= self.bound if self.quantity in COSTS else self.value >= self.bound

    @property
    def word(self) -> str:
        """How it came out."""
        return "ok" if self.met else "ABOVE" if self.quantity in COSTS else "BELOW"


def goal_checks(measurement: Measurement) -> list[GoalCheck]:
    """The goals that stand for this case; none if it was not timed."""
    case, threads = measurement.case, measurement.threads
    goals = (
        (Quantity.RATIO, measurement.ratio, ratio_goal(case, threads)),
        (Quantity.SHARE, measurement.share, share_goal(case, threads)),
        (Quantity.JAX, measurement.jax_ratio, 1.0),
        (Quantity.OWN_COST, measurement.own_cost, own_cost_goal(case)),
        (Quantity.SAVED, measurement.saved_ratio, saved_goal(case)),
    )
    return [GoalCheck(quantity, value, bound) for quantity, value, bound in goals if value is not None and bound]


@dataclass(frozen=True)
class Mean:
    """The ratios of one cell over the grid.

    Attributes:
        shapes: how many.
        geomean, geomean_of_minima: of the ratios of medians, and of minima.
        worst: the case with the smallest ratio.
        goal: for `geomean`; None unless the whole grid was measured with the threads that goals are set for.
    """

    cell: str
    shapes: int
    geomean: float
    geomean_of_minima: float
    worst: Measurement
    goal: float | None

    @property
    def met(self) -> bool:
        """Whether the goal is reached; True without one."""
        return self.goal is None or self.geomean >= self.goal


def geomean(values: Sequence[float]) -> float:
    """The geometric mean of positive numbers."""
    return exp(sum(map(log, values)) / len(values))


def means(measurements: Sequence[Measurement]) -> list[Mean]:
    """One entry for each cell that was timed on shapes of the grid or others, variants left out."""
    by_cell: dict[str, list[Measurement]] = {}
    for one in measurements:
        if not one.case.variant.name and one.ratio:
            by_cell.setdefault(one.case.cell, []).append(one)
    return [_mean(cell, timed) for cell, timed in by_cell.items()]


def _mean(cell: str, timed: list[Measurement]) -> Mean:
    whole = {one.case.shape for one in timed} == set(GRID) and {one.threads for one in timed} == {GOALS_THREADS}
    return Mean(
        cell,
        len(timed),
        geomean([one.ratio for one in timed if one.ratio]),
        geomean([one.ratio_of_minima for one in timed if one.ratio_of_minima]),
        min(timed, key=lambda one: one.ratio or 0.0),
        GEOMEAN_GOALS[cell] if whole else None,
    )
