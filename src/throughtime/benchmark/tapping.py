"""Cost of an open tap, in both passes and in a whole update."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from throughtime.benchmark.figures import Timing
from throughtime.benchmark.goals import geomean
from throughtime.benchmark.grid import Shape
from throughtime.benchmark.measure import LargeProduct, Turns, take_turns
from throughtime.benchmark.methods import LayerRun, measured_run
from throughtime.benchmark.tables import aligned, finite
from throughtime.gradients import BPTT
from throughtime.layers import tap

GOAL = 1.02
"""Largest allowed time of an update with an open tap, relative to closed."""

PROTOCOL = Turns(repetitions=30, seconds=2.0, cap=4.0, product_size=256)
BRIEF = Turns(repetitions=15, seconds=0.6, cap=1.2, product_size=256)

EXPLANATION = (
    "passes: forward and backward pass of a layer under BPTT; update: both passes, clipping by the norm, Adam. Each",
    "runs with the tap closed and open, in turns in this process. Times are medians; of minima: the ratio of the",
    "shortest times. The tap is made once, as for a training, and entered and left in every turn. A case is timed only",
    "if its gradients are the same bits with the tap open.",
)

_NAMES = ("case", "passes us", "open/closed", "of minima", "update us", "open/closed", "of minima")
_WIDTHS = (-20, 11, 13, 11, 13, 13, 11)


@dataclass(frozen=True)
class TapFigures:
    """Figures of one cell and shape.

    Attributes:
        same: whether the gradients are the same bits with the tap open; if not, nothing is timed.
        passes, passes_open: times of forward and backward, with the tap closed and open.
        update, update_open: times of a whole update.
    """

    cell: str
    shape: Shape
    same: bool
    passes: Timing | None = None
    passes_open: Timing | None = None
    update: Timing | None = None
    update_open: Timing | None = None

    def __str__(self) -> str:
        return f"{self.cell} {self.shape}"

    @property
    def ratio_of_passes(self) -> float | None:
        """Median time of the passes, tap open over tap closed."""
        return self.passes_open.median / self.passes.median if self.passes and self.passes_open else None

    @property
    def ratio_of_updates(self) -> float | None:
        """Median time of a whole update, tap open over tap closed."""
        return self.update_open.median / self.update.median if self.update and self.update_open else None


@dataclass(frozen=True)
class Update:
    """Whole update of a layer: both passes, clipping and Adam. The learning rate is 0, so that all turns are equal."""

    run: LayerRun
    optimizer: torch.optim.Adam

    def __call__(self) -> None:
        self.optimizer.zero_grad()
        self.run.forward().backward(self.run.cotangent)
        torch.nn.utils.clip_grad_norm_(self.run.layer.parameters(), 1.0)
        self.optimizer.step()


def measure_tap(cell: str, shape: Shape, protocol: Turns) -> TapFigures:
    """Measure one cell and shape in float32."""
    run = measured_run(BPTT(), cell, shape, torch.float32)
    update = Update(run, torch.optim.Adam(run.layer.parameters(), lr=0.0))
    tapping = tap(run.layer)

    def tapped(side: Callable[[], object]) -> object:
        with tapping:
            return side()

    if not _same_bits(run(), tapped(run)):
        return TapFigures(cell, shape, same=False)
    turns: dict[str, Timing] = {}
    # Two sides at a time: the caches hold other data after an update than after the passes alone.
    for name, side in (("passes", run), ("update", update)):
        sides = {name: side, f"{name}_open": partial(tapped, side)}
        turns |= take_turns(sides, LargeProduct(protocol.product_size, torch.float32), protocol)[0]
    return TapFigures(cell, shape, True, **turns)


def _same_bits(results: tuple[Tensor, ...], other: Any) -> bool:
    return all(torch.equal(first, second) for first, second in zip(results, other, strict=True))


def tap_header() -> str:
    """Return the names of the columns."""
    return aligned(_NAMES, _WIDTHS)


def tap_row(measured: TapFigures) -> str:
    """Return the line of a case."""
    if not measured.same:
        return f"{aligned((str(measured),), _WIDTHS)}  PARITY FAILED, not timed: the gradients differ with the tap open"
    assert measured.passes and measured.passes_open and measured.update and measured.update_open
    pairs = ((measured.passes, measured.passes_open), (measured.update, measured.update_open))
    figures = [
        (f"{closed.median * 1e6:.0f}", f"{opened.median / closed.median:.3f}", f"{opened.minimum / closed.minimum:.3f}")
        for closed, opened in pairs
    ]
    return aligned((str(measured), *figures[0], *figures[1]), _WIDTHS)


def tap_summary(figures: Sequence[TapFigures]) -> list[str]:
    """Summarise the ratios: mean, largest, and the cases that miss the goal."""
    ratios = {
        "passes": {str(entry): entry.ratio_of_passes for entry in figures if entry.ratio_of_passes is not None},
        "update": {str(entry): entry.ratio_of_updates for entry in figures if entry.ratio_of_updates is not None},
    }
    if not ratios["update"]:
        return []
    lines = []
    for name, by_case in ratios.items():
        case, worst = max(by_case.items(), key=lambda item: item[1])
        mean = geomean(list(by_case.values()))
        lines.append(f"{name}: geometric mean {mean:.3f}, largest {worst:.3f} ({case})")
    missed, count = sum(ratio > GOAL for ratio in ratios["update"].values()), len(ratios["update"])
    return [*lines, f"An update is to take at most {GOAL:g} times as long: missed in {missed} of {count} cases."]


def tap_as_json(machine: dict[str, Any], protocol: Turns, figures: Sequence[TapFigures], complete: bool) -> dict:
    """Return all measurements for JSON.

    Args:
        machine: see `machine.machine`.
        protocol: how long each case was measured.
        figures: the figures of each case.
        complete: False if the run was ended early.
    """
    rows = [
        {**asdict(entry), "ratio_of_passes": entry.ratio_of_passes, "ratio_of_updates": entry.ratio_of_updates}
        for entry in figures
    ]
    return finite({"machine": machine, "protocol": asdict(protocol), "goal": GOAL, "complete": complete, "tap": rows})
