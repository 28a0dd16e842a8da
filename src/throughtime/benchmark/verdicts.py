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


class Figure(Enum):
    """What a goal is about."""

    RATIO = "torch/ours"
    SHARE = "share"
    JAX = "jax/ours"
    OWN_COST = "own cost"
    SAVED = "saved"


COSTS = (Figure.OWN_COST, Figure.SAVED)
"""What is to be small."""


@dataclass(frozen=True)
class Verdict:
    """One figure and its goal: at least `bound`, of costs at most."""

    figure: Figure
    value: float
    bound: float

    @property
    def met(self) -> bool:
        """Whether the goal is reached."""
        return self.value <= self.bound if self.figure in COSTS else self.value >= self.bound

    @property
    def word(self) -> str:
        """How it came out."""
        return "ok" if self.met else "ABOVE" if self.figure in COSTS else "BELOW"


def verdicts(measurement: Measurement) -> list[Verdict]:
    """The goals that stand for this case; none if it was not timed."""
    case, threads = measurement.case, measurement.threads
    goals = (
        (Figure.RATIO, measurement.ratio, ratio_goal(case, threads)),
        (Figure.SHARE, measurement.share, share_goal(case, threads)),
        (Figure.JAX, measurement.jax_ratio, 1.0),
        (Figure.OWN_COST, measurement.own_cost, own_cost_goal(case)),
        (Figure.SAVED, measurement.saved_ratio, saved_goal(case)),
    )
    return [Verdict(figure, value, bound) for figure, value, bound in goals if value is not None and bound]


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
