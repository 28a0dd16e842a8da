"""Cases that `throughtime bench` measures, and the goals for their figures."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import inf
from typing import Any, cast, get_args

from throughtime.errors import ArgumentError
from throughtime.runs.settings import CellName

CELLS: tuple[str, ...] = get_args(CellName)[::-1]
"""Cells that a run can have, in the order of the tables: the simplest first, the default last; "rnn" has tanh."""


@dataclass(frozen=True)
class Shape:
    """Batch rows B, hidden units H and time steps T; written "BxHxT"."""

    batch: int
    hidden: int
    steps: int

    @property
    def input_size(self) -> int:
        """Features of the input: 16 for 32 or 64 hidden units, else H."""
        return 16 if self.hidden in (32, 64) else self.hidden

    def __str__(self) -> str:
        return f"{self.batch}x{self.hidden}x{self.steps}"

    @classmethod
    def parse(cls, text: str) -> "Shape":
        """Read a shape written "BxHxT".

        Raises:
            ArgumentError: the text is no shape.
        """
        numbers = re.fullmatch(r"([1-9]\d*)[x×]([1-9]\d*)[x×]([1-9]\d*)", text.strip(), re.ASCII)
        if numbers is None:
            raise ArgumentError(
                "shapes",
                f"has {text!r}",
                "a shape is rows x hidden units x steps, such as 32x128x100",
                "separate several shapes by commas",
            )
        return cls(*map(int, numbers.groups()))


def _shapes(text: str) -> tuple[Shape, ...]:
    return tuple(map(Shape.parse, text.split()))


GRID = _shapes(
    "1x32x100 1x64x1000 1x128x100 1x512x100 8x64x100 "
    "16x64x1000 16x128x1000 32x128x100 32x256x256 64x256x150 "
    "16x512x25 64x512x25 32x1024x25 20x800x300 4x32x17984"
)
"""Default shapes, over which the goals for the means are set."""

QUICK = _shapes("1x32x100 1x128x100 8x64x100 16x64x1000 32x128x100 16x512x25")
"""Shapes of `--quick`."""

VARIANT_SHAPES = _shapes("1x32x100 8x64x100 16x64x1000 32x128x100 32x256x256")
"""Default shapes of the variants."""


@dataclass(frozen=True)
class Variant:
    """Difference of a case from one float32 layer in one direction over full sequences.

    Attributes:
        name: as on the command line; "" for the grid itself.
        title: a description for the reader.
        packed: a PackedSequence with lengths drawn uniformly from T/4 … T.
        resets: the state returns to zero before 3 % of the steps.
        input_size: features of the input; 0 for those of the shape.
        threads: threads of torch; 0 for as many as in the other cases.
        states: the layer keeps its states only, BPTT(save="states").
        own_cost: the largest allowed time per valid step, as a multiple of throughtime's time without the variant, or
            None.
    """

    name: str
    title: str
    layers: int = 1
    bidirectional: bool = False
    packed: bool = False
    resets: bool = False
    input_size: int = 0
    double: bool = False
    threads: int = 0
    states: bool = False
    own_cost: float | None = None


GRID_ITSELF = Variant("", "one layer, full sequences, float32")

VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("layers", "two layers", layers=2),
        Variant("bidirectional", "both directions", bidirectional=True),
        Variant("packed", "PackedSequence, lengths uniform in T/4 ... T", packed=True, own_cost=1.1),
        Variant("states", 'only the states kept, BPTT(save="states")', states=True, own_cost=1.15),
        Variant("resets", "the state reset before 3 % of the steps", resets=True, own_cost=1.05),
        Variant("input1", "one input feature", input_size=1),
        Variant("float64", "float64", double=True),
        Variant("thread1", "one thread", threads=1),
    )
}


@cache
def gates_of(cell: str) -> int:
    """Return the number of gates: the blocks of H rows in the weights."""
    from throughtime.layers.named import LAYERS  # imports torch, which the command's options need not wait for

    make = cast(Callable[..., Any], LAYERS[cell])
    return len(make(1, 1, device="meta").weight_hh_l0)  # where no random number is drawn


@dataclass(frozen=True)
class Case:
    """Case of the benchmark: a cell, a shape and a variant."""

    cell: str
    shape: Shape
    variant: Variant = GRID_ITSELF

    @property
    def input_size(self) -> int:
        """Features of the input."""
        return self.variant.input_size or self.shape.input_size

    def flops(self, tokens: int) -> float:
        """Count the floating-point operations of the matrix products, forward and backward, over `tokens` steps.

        6 G N H (I + H) for each layer and direction: 2 for a product, times 3 for the output, ∂W and ∂input.
        """
        directions = 1 + self.variant.bidirectional
        widths = [self.input_size] + [directions * self.shape.hidden] * (self.variant.layers - 1)
        inputs_and_states = directions * sum(width + self.shape.hidden for width in widths)
        return 6.0 * gates_of(self.cell) * tokens * self.shape.hidden * inputs_and_states

    def __str__(self) -> str:
        return f"{self.cell} {self.shape}" + (f" {self.variant.name}" if self.variant.name else "")


GOALS_THREADS = 2
"""Number of threads for which the goals beyond "never slower" are set."""

HIDDEN_BOUNDS = (64, 128, 256, inf)
"""Largest H of each column of the tables below."""

# On a CPU torch.nn runs RNN and GRU as a loop of operations, and LSTM fused, by oneDNN.
_AGAINST_LOOPS = ((1, (25.0, 12.0, 8.0, 5.0)), (16, (5.0, 2.5, 1.8, 1.5)), (inf, (3.0, 1.8, 1.5, 1.3)))
_AGAINST_FUSED = ((1, (3.0, 2.0, 1.5, 1.3)), (inf, (1.5, 1.3, 1.15, 1.05)))

RATIO_GOALS = {"rnn": _AGAINST_LOOPS, "gru": _AGAINST_LOOPS, "lstm": _AGAINST_FUSED}
"""Least ratio of the times, torch.nn over throughtime, for its cells. Rows are (largest B, goals by column of H)."""

GEOMEAN_GOALS = {"rnn": 4.0, "gru": 4.0, "lstm": 1.5}
"""Least geometric mean of the ratios over the whole grid."""

SHARE_GOALS = {(16, 64): 0.60, (32, 128): 0.70, (32, 256): 0.78, (64, 512): 0.83}
"""Least share of the matrix product's rate, by (B, H)."""

OWN_COST_OF_STATES_ABOVE_256 = 1.35
"""Largest allowed time of saved states above H = 256.

There the gates that are computed again cost a third of all products.
"""

SAVED_GOAL = 1 / 3
"""Largest allowed share of torch.nn's saved bytes, for a layer that keeps states only."""


def own_cost_goal(case: Case) -> float | None:
    """Return the largest allowed time relative to throughtime without the variant, or None."""
    return OWN_COST_OF_STATES_ABOVE_256 if case.variant.states and case.shape.hidden > 256 else case.variant.own_cost


def saved_goal(case: Case) -> float | None:
    """Return the largest allowed ratio of saved bytes, or None.

    An Elman cell has no goal, because it saves only its states anyway.
    """
    return SAVED_GOAL if case.variant.states and gates_of(case.cell) > 1 else None


def ratio_goal(case: Case, threads: int) -> float:
    """Return the least ratio of the times, torch.nn over throughtime. Without another goal it is 1: never slower."""
    if case.variant.name or threads != GOALS_THREADS or case.cell not in RATIO_GOALS:
        return 1.0
    column = next(i for i, largest in enumerate(HIDDEN_BOUNDS) if case.shape.hidden <= largest)
    return next(goals[column] for largest, goals in RATIO_GOALS[case.cell] if case.shape.batch <= largest)


def share_goal(case: Case, threads: int) -> float | None:
    """Return the least share of the rate of matrix products, or None."""
    if case.variant.name or threads != GOALS_THREADS:
        return None
    return SHARE_GOALS.get((case.shape.batch, case.shape.hidden))
