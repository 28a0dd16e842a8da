"""Interface of the runners of a recurrence: the fused kernels and the loop."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from throughtime.sequences.norms import StepNorms
from throughtime.sequences.sequence import Sequence
from throughtime.types import Gradients, Parameters, Save, State


@dataclass(frozen=True)
class Trace:
    """Tensors that a forward pass keeps for the backward pass.

    Autograd holds the tensors between the two passes; `replace(trace, tensors=())` is the rest of the trace.

    Attributes:
        tensors: the tensors, in an order that only the runner or method that made the trace knows.
        save: how much the forward pass kept.
    """

    tensors: tuple[Tensor, ...] = ()
    save: Save | None = None


NOTHING = Trace()


@dataclass(frozen=True)
class Pass:
    """Result of a forward pass.

    Attributes:
        outputs: h_1…T, laid out like the inputs of the sequence, zero in padding.
        final: the state after each row's last valid step, each member [B, size].
        trace: tensors for the backward pass; none where nothing was kept.
    """

    outputs: Float[Tensor, "*steps hidden"]
    final: State
    trace: Trace = NOTHING


@dataclass(frozen=True)
class Cotangents:
    """Derivatives that a backward pass starts from.

    Attributes:
        outputs: g_t = ∂L/∂h_t through the outputs alone, laid out like the outputs.
        final: ∂L/∂(final state), each member [B, size].
        needs_x: whether ∂L/∂x is to be computed.
    """

    outputs: Float[Tensor, "*steps hidden"]
    final: State
    needs_x: bool = True


class Runner(ABC):
    """Interface to run a cell's recurrence forward and backward over time.

    A runner is bound to its cell when the runner is made. All runners of a cell give the same results up to rounding.
    """

    @abstractmethod
    def serves(self, parameters: Parameters, sequence: Sequence) -> bool:
        """Return whether the runner takes the dtype, device, class and layout of the tensors."""

    @abstractmethod
    def forward(self, parameters: Parameters, sequence: Sequence, save: Save | None) -> Pass:
        """Run over time and keep as much as `save` says; with `save=None` nothing."""

    @abstractmethod
    def backward(
        self, parameters: Parameters, sequence: Sequence, trace: Trace, cotangents: Cotangents, norms: StepNorms
    ) -> Gradients:
        """Compute the gradients from the trace that `forward` kept."""

    @abstractmethod
    def entering(self, sequence: Sequence, trace: Trace) -> State:
        """Return the state that entered each step, after any reset.

        Args:
            sequence: a plain sequence.
            trace: the trace of a `forward` over it with `save="states"`.

        Returns:
            Each member [T, B, size]; padded steps may hold anything.
        """
