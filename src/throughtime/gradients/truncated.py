"""Truncated backpropagation: every loss reaches back through a fixed number of steps."""

from dataclasses import dataclass

import torch

from throughtime.cells.base import Cell
from throughtime.cells.recurrence import Recurrence
from throughtime.checks import keep_sizes
from throughtime.gradients.base import GradientMethod
from throughtime.gradients.steps import Steps, direct
from throughtime.sequences.norms import StepNorms
from throughtime.sequences.runner import Cotangents, Pass, Trace
from throughtime.types import Gradients


@dataclass(frozen=True)
class TruncatedBPTT(GradientMethod):
    """Truncated backpropagation through time. Biased.

    The loss of step t reaches the steps t - horizon + 1 … t, with all that enters these steps: weights, inputs, an
    initial state. The link to the step before is cut. With a horizon of at least T nothing is cut, and `BPTT` itself
    runs. The bias is the sum of all terms whose weight acts `horizon` steps or more before the loss;
    `throughtime.gradient_bias` measures the bias.

    With W⁰_t = g_t and W^j_t = J_{t+1}ᵀ W^{j-1}_{t+1} the total is Ĝ_t = Σ_{j<horizon} W^j_t: [HSK] (10) with its inner
    sum cut off. All t are computed at once, by `horizon` large products and no loop over time.

    Args:
        horizon: steps, at least 1; with 1 no gradient passes from a step to the step before.

    Raises:
        ArgumentError: `horizon` is no such number; or `clip_step` is given, which clips the recursion for the total
            ∂L/∂s_t that is not run here.

    Cost: the forward pass, and O(horizon·T·B·S²); O(T·B·S) in memory. Not for speed: `BPTT` is a single sweep for all
    losses together, while here every loss has its own sweep; measured (CPU, T = 200, B = 16, H = 128) 2 to 3 times
    BPTT's time at horizon 1, and 0.4 (Elman) to 0.6 (LSTM, GRU) times more for each further step. Use the method to see
    what a truncation does to learning; to learn from a stream whose end is not known, carry the state from chunk to
    chunk.
    """

    horizon: int

    def __post_init__(self) -> None:
        super().__post_init__()
        keep_sizes(self, horizon=1)
        self._refuse_clip_step(
            "it clips the total ∂L/∂h_t on its way back through time, a recursion that is not run here"
        )

    def check(self, cell: Cell) -> None:
        """Accept every cell."""

    @property
    def exact(self) -> bool:
        return False

    def forward(self, recurrence: Recurrence, keep: bool) -> Pass:
        save = "gates" if self._reaches_the_start(recurrence) else "states"
        return recurrence.forward(save if keep else None)

    def backward(self, recurrence: Recurrence, trace: Trace, cotangents: Cotangents, norms: StepNorms) -> Gradients:
        if self._reaches_the_start(recurrence):
            return recurrence.backward(trace, cotangents, norms)
        steps = Steps.of(recurrence, recurrence.entering(trace))
        reaching, unstepped = direct(recurrence.sequence, cotangents)
        totals = reaching
        for _ in range(self.horizon - 1):
            reaching = steps.one_step_earlier(reaching)  # W^j
            totals = tuple(map(torch.add, totals, reaching))
        return steps.gradients(totals, unstepped, cotangents.needs_x, norms)

    def _reaches_the_start(self, recurrence: Recurrence) -> bool:
        """Return whether every loss reaches the first step, so that nothing is cut."""
        return self.horizon >= recurrence.sequence.shape[0]
