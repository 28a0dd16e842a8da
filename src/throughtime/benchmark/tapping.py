"""What an open tap costs: on the two passes of a layer, and on a whole update of its weights."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from math import exp, log
from typing import Any

import torch
from torch import Tensor

from throughtime.benchmark.grid import Shape
from throughtime.benchmark.measure import LargeProduct, Protocol, take_turns
from throughtime.benchmark.measurement import Timing
from throughtime.benchmark.methods import LayerRun, measured_run
from throughtime.benchmark.report import finite
from throughtime.gradients import BPTT, tap

GOAL = 1.02
"""The most that a whole update may take with the tap open, over its time without."""

PROTOCOL = Protocol(repetitions=30, seconds=2.0, cap=4.0, product_size=256)
BRIEF = Protocol(repetitions=15, seconds=0.6, cap=1.2, product_size=256)

EXPLANATION = (
    "Forward and backward pass of a layer under BPTT, and a whole update: those, clipping by the norm and Adam. Each",
    "with the tap closed and open, taking turns in this process; figures are medians, the least of all turns behind",
    "them. The tap is made once, as for a training; entering and leaving it in every turn is within the time. Before",
    "it is timed, the gradients must be the same bits.",
)

_NAMES = ("case", "passes us", "open/closed", "of minima", "update us", "open/closed", "of minima")
_WIDTHS = (-20, 11, 13, 11, 13, 13, 11)


@dataclass(frozen=True)
class TapFigures:
    """What was found of one cell and shape.

    Attributes:
        same: whether the gradients are the same bits with the tap open; if not, nothing is timed.
        passes, passes_open: of forward and backward, without and with the tap open.
        update, update_open: of a whole update.
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
        """Median time with the tap open over that without."""
        return self.passes_open.median / self.passes.median if self.passes and self.passes_open else None

    @property
    def ratio_of_updates(self) -> float | None:
        """The same of a whole update."""
        return self.update_open.median / self.update.median if self.update and self.update_open else None


@dataclass(frozen=True)
class Update:
    """A whole update: both passes, clipping, Adam. Its learning rate is 0, so that every turn does the same."""

    run: LayerRun
    optimizer: torch.optim.Adam

    def __call__(self) -> None:
        self.optimizer.zero_grad()
        self.run.forward().backward(self.run.cotangent)
        torch.nn.utils.clip_grad_norm_(self.run.layer.parameters(), 1.0)
        self.optimizer.step()


def measure_tap(cell: str, shape: Shape, protocol: Protocol) -> TapFigures:
    """Measure one cell and shape, in float32."""
    run = measured_run(BPTT(), cell, shape, torch.float32)
    update = Update(run, torch.optim.Adam(run.layer.parameters(), lr=0.0))

    tapping = tap(run.layer)

    def tapped(side: Callable[[], object]) -> object:
        with tapping:
            return side()

    if not _same_bits(run(), tapped(run)):
        return TapFigures(cell, shape, same=False)
    turns: dict[str, Timing] = {}
    # Two at a time: after an update the caches are others than after the passes alone, whichever comes next.
    for name, side in (("passes", run), ("update", update)):
        sides = {name: side, f"{name}_open": partial(tapped, side)}
        turns |= take_turns(sides, LargeProduct(protocol.product_size, torch.float32), protocol)[0]
    return TapFigures(cell, shape, True, **turns)


def _same_bits(one: tuple[Tensor, ...], other: Any) -> bool:
    return all(torch.equal(first, second) for first, second in zip(one, other, strict=True))


def tap_header() -> str:
    """The names of the columns."""
    return _columns(_NAMES)


def tap_row(one: TapFigures) -> str:
    """One line of the table, without its end."""
    if not one.same:
        return f"{_columns((str(one),))}  PARITY FAILED, not timed: the gradients are others with the tap open"
    assert one.passes and one.passes_open and one.update and one.update_open
    pairs = ((one.passes, one.passes_open), (one.update, one.update_open))
    figures = [
        (f"{closed.median * 1e6:.0f}", f"{opened.median / closed.median:.3f}", f"{opened.minimum / closed.minimum:.3f}")
        for closed, opened in pairs
    ]
    return _columns((str(one), *figures[0], *figures[1]))


def tap_summary(figures: Sequence[TapFigures]) -> list[str]:
    """The geometric mean and the largest of the ratios, and the cases that miss the goal."""
    ratios = {
        "passes": {str(one): one.ratio_of_passes for one in figures if one.ratio_of_passes is not None},
        "update": {str(one): one.ratio_of_updates for one in figures if one.ratio_of_updates is not None},
    }
    if not ratios["update"]:
        return []
    lines = []
    for name, found in ratios.items():
        mean, (case, worst) = (
            exp(sum(map(log, found.values())) / len(found)),
            max(found.items(), key=lambda one: one[1]),
        )
        lines.append(f"{name}: geometric mean {mean:.3f}, largest {worst:.3f} ({case})")
    missed, count = sum(ratio > GOAL for ratio in ratios["update"].values()), len(ratios["update"])
    return [*lines, f"An update is to take at most {GOAL:g} times as long: missed in {missed} of {count} cases."]


def tap_as_json(machine: dict[str, Any], protocol: Protocol, figures: Sequence[TapFigures], complete: bool) -> dict:
    """Everything measured, as JSON takes it.

    Args:
        machine: see `machine.machine`.
        protocol: how long was measured.
        figures: one for each case.
        complete: False if the run was ended early.
    """
    rows = [
        {**asdict(one), "ratio_of_passes": one.ratio_of_passes, "ratio_of_updates": one.ratio_of_updates}
        for one in figures
    ]
    return finite({"machine": machine, "protocol": asdict(protocol), "goal": GOAL, "complete": complete, "tap": rows})


def _columns(cells: Sequence[str]) -> str:
    pairs = zip(cells, _WIDTHS, strict=False)
    return "".join(cell.ljust(-width) if width < 0 else cell.rjust(width) for cell, width in pairs)
