"""Truncated backpropagation through time: every loss reaches back through a fixed number of steps."""

from dataclasses import dataclass

import torch

from throughtime.cells.base import Cell, check_size
from throughtime.cells.recurrence import Recurrence
from throughtime.errors import ArgumentError
from throughtime.gradients.base import GradientMethod
from throughtime.gradients.bptt import BPTT
from throughtime.gradients.steps import Steps, direct
from throughtime.sequences.norms import StepNorms
from throughtime.sequences.runner import Cotangents, Pass, Trace
from throughtime.types import Gradients

WHOLE, STATES = BPTT(), BPTT(save="states")


@dataclass(frozen=True)
class TruncatedBPTT(GradientMethod):
    """Truncated backpropagation through time: the loss of step t reaches back through `horizon` steps. Biased.

    The steps t - horizon + 1 … t see the loss of step t, with all that enters them: weights, inputs, an initial state.
    What links them to the step before is cut. With a horizon of at least T nothing is, and `BPTT` itself runs. The bias
    is the sum of all terms whose weight acts `horizon` steps or more before the loss; `throughtime.gradient_bias`
    measures it.

    With W⁰_t = g_t and W^j_t = J_{t+1}ᵀ W^{j-1}_{t+1} the total is Ĝ_t = Σ_{j<horizon} W^j_t: [HSK] (10) with its inner
    sum cut off. All t are taken at once, so there are `horizon` large products and no loop over time.

    Args:
        horizon: steps, at least 1; with 1 no gradient passes from one step to the one before.

    Raises:
        ArgumentError: for a horizon that is none, and for `clip_step`, which clips the recursion for the total
            ∂L/∂s_t; here there is none.

    Cost: the forward pass, and O(horizon·T·B·S²); O(T·B·S) in memory. Not for speed: `BPTT` is one sweep for all
    losses together, while here every loss has its own; measured (CPU, T = 200, B = 16, H = 128) 2 to 3 times BPTT's
    time at horizon 1, and 0.4 (Elman) to 0.6 (LSTM, GRU) times more for each further step. It shows what a truncation
    does to learning; to learn from a stream whose end is not known, carry the state from chunk to chunk.
    """

    horizon: int

    def __post_init__(self) -> None:
        super().__post_init__()
        check_size("horizon", self.horizon, least=1)
        if self.clip_step is not None:
            raise ArgumentError(
                f"clip_step is {self.clip_step} in TruncatedBPTT; it clips the total ∂L/∂h_t on its way back through "
                "time, a recursion that is not run here: leave it out and clip the whole gradient "
                "(throughtime.clip_gradients), or use BPTT(clip_step=…)"
            )

    def check(self, cell: Cell) -> None:
        """Every cell is served."""

    @property
    def exact(self) -> bool:
        return False

    def forward(self, recurrence: Recurrence, keep: bool) -> Pass:
        return self._method(recurrence).forward(recurrence, keep)

    def backward(self, recurrence: Recurrence, trace: Trace, cotangents: Cotangents, norms: StepNorms) -> Gradients:
        if self._method(recurrence) is WHOLE:
            return WHOLE.backward(recurrence, trace, cotangents, norms)
        steps = Steps.of(recurrence, recurrence.entering(trace))
        reaching, unstepped = direct(recurrence.sequence, cotangents)
        totals = reaching
        for _ in range(self.horizon - 1):
            reaching = steps.one_step_earlier(reaching)  # W^j
            totals = tuple(map(torch.add, totals, reaching))
        return steps.gradients(totals, unstepped, cotangents.needs_x, norms)

    def _method(self, recurrence: Recurrence) -> BPTT:
        """Choose what runs forward: nothing is cut where every loss reaches the first step."""
        return WHOLE if self.horizon >= recurrence.sequence.shape[0] else STATES
