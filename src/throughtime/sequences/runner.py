"""The contract of whatever runs a recurrence over a whole sequence: a fused kernel, or the loop."""

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

    Autograd holds the tensors in between: `replace(trace, tensors=())` is what remains beside them.

    Attributes:
        tensors: in an order that whoever made the trace knows.
        save: how much was kept.
    """

    tensors: tuple[Tensor, ...] = ()
    save: Save | None = None


NOTHING = Trace()


@dataclass(frozen=True)
class Pass:
    """The result of a forward pass.

    Attributes:
        outputs: h_1…T, laid out like the inputs of the sequence, zero in padding.
        final: the state after each row's last valid step, each member [B, size].
        trace: what the backward pass needs; without tensors where nothing was kept.
    """

    outputs: Float[Tensor, "*steps hidden"]
    final: State
    trace: Trace = NOTHING


@dataclass(frozen=True)
class Cotangents:
    """The derivatives that a backward pass starts from.

    Attributes:
        outputs: g_t = ∂L/∂h_t through the outputs alone, laid out like them.
        final: ∂L/∂(final state), each member [B, size].
        needs_x: whether ∂L/∂x is to be computed.
    """

    outputs: Float[Tensor, "*steps hidden"]
    final: State
    needs_x: bool = True


class Runner(ABC):
    """A recurrence of a certain cell, forward and backward over time.

    A runner is bound to its cell when it is made. All runners of a cell give the same results up to rounding.
    """

    @abstractmethod
    def serves(self, sequence: Sequence) -> bool:
        """Whether this runner takes tensors of this dtype, device and layout."""

    @abstractmethod
    def forward(self, parameters: Parameters, sequence: Sequence, save: Save | None) -> Pass:
        """Run over time; for `save=None` nothing is kept."""

    @abstractmethod
    def backward(
        self, parameters: Parameters, sequence: Sequence, trace: Trace, cotangents: Cotangents, norms: StepNorms
    ) -> Gradients:
        """Differentiate, given what `forward` kept."""

    @abstractmethod
    def entering(self, sequence: Sequence, trace: Trace) -> State:
        """Return the state that entered each step, after any reset, each member [T, B, size]; anything in padding.

        `sequence` is plain, and `trace` is what `forward` kept of it for `save="states"`.
        """
