"""What a kernel is: a cell's recurrence over the whole sequence, forward and backward, in one call each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from torch import Tensor

from throughtime.types import Gradients, Parameters, Save, State

if TYPE_CHECKING:  # a kernel is below the rooms whose objects it is handed
    from throughtime.gradients.norms import StepNorms
    from throughtime.gradients.sequence import Sequence


class Kernel(ABC):
    """The recurrence of `gradients.bptt.Loop`, faster: same arguments, same results up to rounding.

    `cell` is the cell that names the kernel. Where a cell's kernel does not serve a call, and wherever the backward
    pass itself is to be differentiated, the loop runs instead.
    """

    @abstractmethod
    def serves(self, cell: Any, sequence: Sequence) -> bool:
        """Whether this kernel can run this cell on tensors of this dtype and device."""

    @abstractmethod
    def forward(
        self, cell: Any, parameters: Parameters, sequence: Sequence, save: Save | None
    ) -> tuple[Tensor, State, tuple[Tensor, ...]]:
        """(h_1…T [T, B, H], the final state, the trace for `backward`: empty for None)."""

    @abstractmethod
    def backward(
        self,
        cell: Any,
        parameters: Parameters,
        sequence: Sequence,
        trace: tuple[Tensor, ...],
        d_outputs: Tensor,
        d_final: State,
        save: Save,
        needs_x: bool,
        norms: StepNorms,
    ) -> Gradients:
        """The gradients of L given ∂L/∂h_1…T [T, B, H] and ∂L/∂(final state)."""

    @abstractmethod
    def entering(self, cell: Any, sequence: Sequence, trace: tuple[Tensor, ...]) -> State:
        """The state that entered each step, after any reset, each member [T, B, size]; in padding it may be anything.

        `sequence` is plain, and `trace` is what `forward` returned of it for `save="states"`.
        """
