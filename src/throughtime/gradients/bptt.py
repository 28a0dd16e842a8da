"""Backpropagation through time: the exact gradient by the backward recursion."""

from dataclasses import dataclass
from typing import get_args

from jaxtyping import Float
from torch import Tensor

from throughtime.cells.base import Cell
from throughtime.errors import ArgumentError
from throughtime.gradients import operators
from throughtime.gradients.base import GradientMethod
from throughtime.gradients.choice import kernel_for, recurrence_for
from throughtime.gradients.norms import StepNorms
from throughtime.gradients.sequence import Sequence
from throughtime.types import Gradients, Parameters, Save, State


@dataclass(frozen=True)
class BPTT(GradientMethod):
    """Backpropagation through time ([MR] (2) and (8)), the default: exact, and the fastest where memory allows.

    G_T = g_T,  G_t = g_t + J_{t+1}ᵀ G_{t+1};  the weights' gradients are one product over all T·B rows at the end.

    Args:
        save: what the forward pass keeps. "gates", the default: everything that the backward pass needs, the fastest;
            per step and row H numbers (Elman), 5 H (GRU), 6 H (LSTM) where the cell's kernel runs. "states": h only,
            and c; the gates are computed again, in large products, with H (GRU) and 2 H (LSTM) kept.

    Cost: about twice the forward pass in time, and for "states" a third of it more; O(T·B·H) in memory.
    """

    save: Save = "gates"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.save not in get_args(Save):
            raise ArgumentError(f"save is {self.save!r}; it must be 'gates' (fastest) or 'states' (least memory)")

    def check(self, cell: Cell) -> None:
        """Every cell is served."""

    def forward(
        self, cell: Cell, parameters: Parameters, sequence: Sequence, keep: bool
    ) -> tuple[Float[Tensor, "time batch hidden"], State, tuple[Tensor, ...]]:
        return recurrence_for(cell, sequence).forward(cell, parameters, sequence, self.save if keep else None)

    def backward(
        self,
        cell: Cell,
        parameters: Parameters,
        sequence: Sequence,
        trace: tuple[Tensor, ...],
        d_outputs: Float[Tensor, "time batch hidden"],
        d_final: State,
        needs_x: bool,
        norms: StepNorms,
    ) -> Gradients:
        recurrence = recurrence_for(cell, sequence)
        return recurrence.backward(cell, parameters, sequence, trace, d_outputs, d_final, self.save, needs_x, norms)

    def entering(self, cell: Cell, sequence: Sequence, trace: tuple[Tensor, ...]) -> State:
        """For `save="states"`, the state that entered each step, each member [T, B, size]: see `Kernel`."""
        return recurrence_for(cell, sequence).entering(cell, sequence, trace)

    def takes(self, cell: Cell, sequence: Sequence) -> bool:
        return kernel_for(cell, sequence) is not None or super().takes(cell, sequence)

    def traced(
        self, cell: Cell, parameters: Parameters, sequence: Sequence, keep: bool
    ) -> tuple[Float[Tensor, "time batch hidden"], State]:
        kernel = operators.kernel_of(cell, sequence)
        if kernel is not None:
            save, name = self.save if keep else None, kernel.full_name(cell)
            return operators.recurrence_of(name, parameters, sequence, save, self.clip_step)
        return super().traced(cell, parameters, sequence, keep)
