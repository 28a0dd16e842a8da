"""Backpropagation through time: exact gradients by the backward recursion."""

from dataclasses import dataclass
from typing import ClassVar, get_args

from jaxtyping import Float
from torch import Tensor

from throughtime.cells.base import Cell
from throughtime.cells.recurrence import Recurrence
from throughtime.errors import ArgumentError
from throughtime.gradients.base import GradientMethod
from throughtime.kernels import operators
from throughtime.kernels.fused import FusedKernel
from throughtime.sequences.norms import StepNorms
from throughtime.sequences.runner import Cotangents, Pass, Trace
from throughtime.types import Gradients, Save, State


@dataclass(frozen=True)
class BPTT(GradientMethod):
    """Backpropagation through time ([MR] (2) and (8)): exact, and the default.

    G_T = g_T,  G_t = g_t + J_{t+1}ᵀ G_{t+1}; a single product over all T·B rows at the end gives each weight's
    gradient. No other method is faster where memory allows this one.

    Args:
        save: tensors that the forward pass keeps. "gates", the default and the fastest: everything that the backward
            pass needs; per step and row H numbers (Elman), 5 H (GRU), 6 H (LSTM) where the cell's kernel runs.
            "states": only h, and c; the gates are computed again, in large products, with H (GRU) and 2 H (LSTM) kept.

    Cost: about twice the forward pass in time, and for "states" a third of it more; O(T·B·H) in memory.
    """

    hands_over: ClassVar[bool] = True

    save: Save = "gates"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.save not in get_args(Save):
            raise ArgumentError("save", f"is {self.save!r}", "it must be 'gates' (fastest) or 'states' (least memory)")

    def check(self, cell: Cell) -> None:
        """Accept every cell."""

    def forward(self, recurrence: Recurrence, keep: bool) -> Pass:
        return recurrence.forward(self.save if keep else None)

    def backward(self, recurrence: Recurrence, trace: Trace, cotangents: Cotangents, norms: StepNorms) -> Gradients:
        return recurrence.backward(trace, cotangents, norms)

    def takes(self, recurrence: Recurrence) -> bool:
        return recurrence.is_fused or super().takes(recurrence)

    def traced(self, recurrence: Recurrence, keep: bool) -> tuple[Float[Tensor, "time batch hidden"], State]:
        kernel, save = recurrence.runner, self.save if keep else None
        if isinstance(kernel, FusedKernel):
            return operators.recurrence_of(kernel, recurrence.parameters, recurrence.sequence, save, self.clip_step)
        return super().traced(recurrence, keep)
