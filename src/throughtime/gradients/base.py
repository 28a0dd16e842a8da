"""The contract of a gradient method, and the one place where a method becomes part of PyTorch's graph."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from throughtime.cells.base import Cell
from throughtime.errors import ArgumentError, UnsupportedError
from throughtime.gradients.autocast import without_autocast
from throughtime.gradients.loop import LOOP
from throughtime.gradients.norms import StepNorms
from throughtime.gradients.sequence import Sequence
from throughtime.gradients.tap import LayerTap
from throughtime.torch_internals import forward_mode_active, transforms_active
from throughtime.types import Gradients, Parameters, State


@dataclass(frozen=True)
class GradientMethod(ABC):
    """How ∂L/∂θ, ∂L/∂x and ∂L/∂h_0 of a recurrence are obtained from ∂L/∂h_1…T.

    Args:
        clip_step: per-step clipping ([T], "at each timestep"): wherever the total ∂L/∂s_t of a row has a norm (over
            h, and c for an LSTM, together) above this, it is scaled down to it before it goes into the weights and
            further back in time. Rows are clipped each for itself, so a sequence's gradient does not depend on
            what else is in the batch. The result is then no longer the exact gradient. None: never.

    A method that cannot serve a cell, or one of the arguments, refuses in `check`, before any work.
    """

    clip_step: float | None = field(default=None, kw_only=True)

    taps: ClassVar[bool] = True
    """Whether the total ∂L/∂h_t is formed, of which a tap records the norms."""

    def __post_init__(self) -> None:
        if self.clip_step is not None and not 0 < self.clip_step < float("inf"):
            raise ArgumentError(
                f"clip_step is {self.clip_step!r}; it must be a positive finite norm, or None for no clipping"
            )

    @abstractmethod
    def check(self, cell: Cell) -> None:
        """Raise `UnsupportedError` naming what this method cannot do with this cell."""

    @abstractmethod
    def forward(
        self, cell: Cell, parameters: Parameters, sequence: Sequence, keep: bool
    ) -> tuple[Float[Tensor, "time batch hidden"], State, tuple[Tensor, ...]]:
        """Run the cell over time.

        Returns:
            h_1…T [T, B, H], the final state (of each row its last step that is no padding), and the trace: the tensors
            that `backward` needs, empty unless `keep`.
        """

    @abstractmethod
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
        """The gradients given g_t = ∂L/∂h_t through the outputs alone, and ∂L/∂(final state)."""

    def takes(self, cell: Cell, sequence: Sequence) -> bool:
        """Whether `forward` and `backward` take this sequence as it is; else they are given its plain form."""
        return sequence.is_plain

    @property
    def exact(self) -> bool:
        """Whether the result is the gradient that PyTorch itself would compute, up to rounding."""
        return self.clip_step is None

    def differentiable(self) -> "GradientMethod":
        """The method that runs instead of this one where the backward pass is itself differentiated (create_graph).

        It must give the same gradient, by operations that PyTorch can differentiate; `self` unless overridden.

        Raises:
            UnsupportedError: by a method for which there is none.
        """
        return self

    def traced(
        self, cell: Cell, parameters: Parameters, sequence: Sequence, keep: bool
    ) -> tuple[Float[Tensor, "time batch hidden"], State]:
        """The recurrence as operations that torch.compile and torch.export can trace; `in_torch` unless overridden.

        `keep` says whether it will be differentiated.
        """
        return self.in_torch(cell, parameters, sequence)

    def in_torch(
        self, cell: Cell, parameters: Parameters, sequence: Sequence
    ) -> tuple[Float[Tensor, "time batch hidden"], State]:
        """The recurrence as a loop of PyTorch's own operations, which PyTorch differentiates in any of its ways.

        Raises:
            UnsupportedError: by a method whose result is not the gradient that PyTorch would compute.
        """
        if not self.exact:
            raise UnsupportedError(
                f"{self} is not the exact gradient, and here PyTorch differentiates the recurrence itself "
                "(torch.func, forward-mode differentiation, torch.compile without a kernel): use an exact method, "
                "such as throughtime.BPTT(), or call backward() outside of them"
            )
        if torch.compiler.is_compiling():
            sequence.assert_valid()
        outputs, final, _ = LOOP.forward(cell, parameters, sequence.plain(), None)
        return sequence.from_plain(outputs), final


@dataclass(frozen=True)
class _Call:
    """One run of a recurrence, apart from the tensors that may need a gradient, which autograd looks after."""

    method: GradientMethod
    cell: Cell
    names: tuple[str, ...]
    lengths: Tensor | None
    resets: Tensor | None
    batch_sizes: Tensor | None
    reverse: bool
    one_hot: int
    inert: bool
    tap: LayerTap | None

    def unpack(self, tensors: tuple[Tensor, ...]) -> tuple[Parameters, Sequence]:
        """The parameters and the sequence, made of `tensors`: see `_tensors_of`."""
        members = len(self.cell.state_sizes)
        split = 1 + (members if self.resets is None else 2 * members)
        x, initial, reset_state = tensors[0], tensors[1 : 1 + members], tensors[1 + members : split]
        parameters = dict(zip(self.names, tensors[split:], strict=True))
        return parameters, Sequence(x, initial, reset_state, *_form_of(self))


class _Recurrence(torch.autograd.Function):
    """A gradient method as one node of PyTorch's graph."""

    @staticmethod
    def forward(ctx: Any, call: _Call, *tensors: Tensor) -> tuple[Tensor, ...]:
        parameters, sequence = call.unpack(tensors)
        outputs, final, trace = call.method.forward(call.cell, parameters, sequence, keep=True)
        # Lengths and resets too: saved, they are known to be unchanged when the backward pass reads them.
        ctx.call, ctx.inputs = replace(call, lengths=None, resets=None, batch_sizes=None), len(tensors)
        ctx.masks = call.lengths is not None, call.resets is not None, call.batch_sizes is not None
        masks = [mask for mask in (call.lengths, call.resets, call.batch_sizes) if mask is not None]
        ctx.save_for_backward(*tensors, *masks, *trace)
        return outputs, *final

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        saved, trace_from = ctx.saved_tensors, ctx.inputs + sum(ctx.masks)
        masks = iter(saved[ctx.inputs : trace_from])
        lengths, resets, batch_sizes = (next(masks) if there else None for there in ctx.masks)
        call = replace(ctx.call, lengths=lengths, resets=resets, batch_sizes=batch_sizes)
        with without_autocast(saved[0].device):
            gradients = _differentiate(
                call, saved[: ctx.inputs], saved[trace_from:], cotangents, ctx.needs_input_grad[1]
            )
        reset_state = () if call.resets is None else gradients.reset_state or (None,) * len(gradients.initial)
        by_name = (gradients.parameters[name] for name in call.names)
        return None, gradients.x, *gradients.initial, *reset_state, *by_name


def _differentiate(
    call: _Call,
    tensors: tuple[Tensor, ...],
    trace: tuple[Tensor, ...],
    cotangents: tuple[Tensor, ...],
    needs_x: bool,
) -> Gradients:
    parameters, sequence = call.unpack(tensors)
    d_outputs, *d_final = cotangents
    if call.tap is not None:
        call.tap.begin(*sequence.shape, sequence.initial[0])

    def backward(method: GradientMethod, sequence: Sequence, trace: tuple[Tensor, ...], d_outputs: Tensor) -> Gradients:
        norms = StepNorms(method.clip_step, call.tap)
        return method.backward(
            call.cell, parameters, sequence, trace, d_outputs, tuple(d_final), needs_x=needs_x, norms=norms
        )

    if not torch.is_grad_enabled():
        return backward(call.method, sequence, trace, d_outputs)
    # create_graph: the gradient will be differentiated, so what it is made of must hang on the inputs.
    method, plain = call.method.differentiable(), sequence.plain()
    trace = method.forward(call.cell, parameters, plain, keep=True)[2]
    gradients = backward(method, plain, trace, sequence.to_plain(d_outputs))
    return gradients if gradients.x is None else replace(gradients, x=sequence.from_plain(gradients.x))


def _transformed() -> bool:
    """Whether a transform of torch.func, or forward-mode differentiation, is at work."""
    return forward_mode_active() or transforms_active()


def _form_of(sequence: "Sequence | _Call") -> tuple[Tensor | None, Tensor | None, Tensor | None, bool, int, bool]:
    """What there is to a sequence beside its inputs and states."""
    return sequence.lengths, sequence.resets, sequence.batch_sizes, sequence.reverse, sequence.one_hot, sequence.inert


def _tensors_of(parameters: Parameters, sequence: Sequence) -> tuple[Tensor, ...]:
    """x, the initial state, with resets the state they return to, the parameters."""
    reset_state = () if sequence.resets is None else sequence.reset_state
    return (sequence.x, *sequence.initial, *reset_state, *parameters.values())


def run(
    method: GradientMethod, cell: Cell, parameters: Parameters, sequence: Sequence, tap: LayerTap | None = None
) -> tuple[Float[Tensor, "*steps hidden"], State]:
    """Run `cell` over `sequence`; the result is differentiable, any number of times, in the way of `method`.

    Returns:
        h_1…T, laid out like the inputs and zero in padding, and the final state.
    """
    method.check(cell)
    if tap is not None and not method.taps:
        raise UnsupportedError(
            f"{method} never forms the total ∂L/∂h_t that a tap records; run it outside of the tap's block, or use BPTT"
        )
    with without_autocast(sequence.x.device):
        if torch.compiler.is_compiling() or _transformed():
            return _run_in_torch(method, cell, parameters, sequence, tap)
        if method.takes(cell, sequence):
            return _run_eagerly(method, cell, parameters, sequence, tap)
        outputs, final = _run_eagerly(method, cell, parameters, sequence.plain(), tap)
        return sequence.from_plain(outputs), final


def _run_eagerly(
    method: GradientMethod, cell: Cell, parameters: Parameters, sequence: Sequence, tap: LayerTap | None
) -> tuple[Float[Tensor, "*steps hidden"], State]:
    tensors = _tensors_of(parameters, sequence)
    if not _differentiated(tensors):
        with torch.no_grad():
            outputs, final, _ = method.forward(cell, parameters, sequence, keep=False)
        return outputs, final
    call = _Call(method, cell, tuple(parameters), *_form_of(sequence), tap)
    outputs, *final = _Recurrence.apply(call, *tensors)
    return outputs, tuple(final)


def _run_in_torch(
    method: GradientMethod, cell: Cell, parameters: Parameters, sequence: Sequence, tap: LayerTap | None
) -> tuple[Float[Tensor, "*steps hidden"], State]:
    if tap is not None:
        raise UnsupportedError("a tap records backward() only: leave torch.func and torch.compile out of its block")
    if torch.compiler.is_compiling():
        return method.traced(cell, parameters, sequence, _differentiated(_tensors_of(parameters, sequence)))
    return method.in_torch(cell, parameters, sequence)


def _differentiated(tensors: tuple[Tensor, ...]) -> bool:
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
