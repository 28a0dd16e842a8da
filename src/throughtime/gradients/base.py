"""Interface of the gradient methods, and their node in PyTorch's graph."""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from throughtime.cells.base import Cell
from throughtime.cells.recurrence import Form, Recurrence
from throughtime.checks import is_real, plain
from throughtime.errors import ArgumentError, UnsupportedError
from throughtime.kernels.addresses import are_plain_or_fake, check_tensor
from throughtime.sequences.autocast import autocasts, without_autocast
from throughtime.sequences.memory import check_memory, is_readable
from throughtime.sequences.norms import StepNorms
from throughtime.sequences.runner import Cotangents, Pass, Trace
from throughtime.sequences.tap import LayerTap
from throughtime.torch_internals import (
    forward_mode_active,
    has_memory,
    is_expanded_weight,
    jit_is_tracing,
    operators_watched,
    transforms_active,
)
from throughtime.types import Gradients, State


@dataclass(frozen=True)
class GradientMethod(ABC):
    """Method that computes ∂L/∂θ, ∂L/∂x and ∂L/∂h_0 of a recurrence from ∂L/∂h_1…T.

    A method that cannot serve a cell, or an argument, refuses in `check`, before any work.

    Args:
        clip_step: per-step clipping ([T], "at each timestep"): wherever the total ∂L/∂s_t of a row has a norm (over
            h, and c for an LSTM, together) above `clip_step`, the total is scaled down to that norm before it goes into
            the weights and further back in time. Rows are clipped independently, so a sequence's gradient does not
            depend on the other rows of the batch. The result is then no longer the exact gradient. None: no clipping.

    Raises:
        ArgumentError: `clip_step` is no positive finite number.
    """

    clip_step: float | None = field(default=None, kw_only=True)

    hands_over: ClassVar[bool] = False
    """Whether the method reads no tensor itself: it only calls the runner, and a kernel checks what it reads."""

    taps: ClassVar[bool] = True
    """Whether the method forms the total ∂L/∂h_t, whose norms a tap records."""

    def __post_init__(self) -> None:
        if self.clip_step is None:
            return
        if not is_real(self.clip_step) or not 0 < self.clip_step < float("inf"):
            raise ArgumentError(
                "clip_step", f"is {self.clip_step!r}", "it must be a positive finite norm, or None for no clipping"
            )
        object.__setattr__(self, "clip_step", plain(self.clip_step))

    def _refuse_clip_step(self, reason: str) -> None:
        """Raise `ArgumentError` if `clip_step` is given; `reason` says why the method cannot clip."""
        if self.clip_step is not None:
            raise ArgumentError(
                "clip_step",
                f"is {self.clip_step} in {type(self).__name__}",
                reason,
                "leave it out and clip the whole gradient (throughtime.clip_gradients), or use BPTT(clip_step=…)",
            )

    @abstractmethod
    def check(self, cell: Cell) -> None:
        """Raise `UnsupportedError` if the method cannot serve a cell."""

    @abstractmethod
    def forward(self, recurrence: Recurrence, keep: bool) -> Pass:
        """Run over time; keep a trace for `backward` only if `keep`."""

    @abstractmethod
    def backward(self, recurrence: Recurrence, trace: Trace, cotangents: Cotangents, norms: StepNorms) -> Gradients:
        """Compute the gradients from the trace that `forward` kept."""

    def takes(self, recurrence: Recurrence) -> bool:
        """Return whether `forward` and `backward` take the given form of the sequence.

        If not, they are called with the plain form.
        """
        return recurrence.sequence.is_plain

    @property
    def exact(self) -> bool:
        """Whether the result is the gradient that PyTorch itself would compute, up to rounding."""
        return self.clip_step is None

    def twice_differentiable(self) -> "GradientMethod":
        """Return the method to use where the backward pass is differentiated (create_graph).

        That method must give the same gradient, by operations that PyTorch can differentiate; `self` unless overridden.

        Raises:
            UnsupportedError: no method gives the same gradient.
        """
        return self

    def traced(self, recurrence: Recurrence, keep: bool) -> tuple[Float[Tensor, "time batch hidden"], State]:
        """Run by operations that torch.compile and torch.export can trace.

        By default these are the operations of `in_torch`. `keep` says whether the result will be differentiated.
        """
        return self.in_torch(recurrence)

    def in_torch(self, recurrence: Recurrence) -> tuple[Float[Tensor, "time batch hidden"], State]:
        """Run as a loop of PyTorch's operations, which PyTorch itself differentiates.

        Raises:
            UnsupportedError: the method's gradient is not the gradient that PyTorch would compute.
        """
        if not self.exact:
            raise UnsupportedError(
                f"{self} is not the exact gradient, and here PyTorch differentiates the recurrence itself "
                "(torch.func, forward-mode differentiation, torch.compile without a kernel): use an exact method, "
                "such as throughtime.BPTT(), or call backward() outside of them"
            )
        sequence = recurrence.sequence
        if torch.compiler.is_compiling() or operators_watched():
            sequence.assert_valid()
        result = recurrence.looped().forward(None)
        return sequence.from_plain(result.outputs), result.final


def check_method(name: str, method: object, example: str) -> None:
    """Check that an argument is a gradient method.

    Args:
        name: the name of the argument, for the error.
        method: the argument.
        example: the call of a method that fits, for the error, such as "BPTT()".

    Raises:
        ArgumentError: it is anything else.
    """
    if not isinstance(method, GradientMethod):
        allowed = f"it must be a gradient method such as throughtime.{example}"
        raise ArgumentError(name, f"is {method!r}", allowed)


def run(
    method: GradientMethod, recurrence: Recurrence, tap: LayerTap | None = None
) -> tuple[Float[Tensor, "*steps hidden"], State]:
    """Run a recurrence so that `method` differentiates the result.

    The result can be differentiated any number of times.

    Args:
        method: the gradient method.
        recurrence: the cell, its parameters and the sequence.
        tap: record of the norms ‖∂L/∂h_t‖; None: no recording.

    Raises:
        UnsupportedError: the method cannot serve the cell or the tap.

    Returns:
        h_1…T, laid out like the inputs and zero in padding, and the final state.
    """
    method.check(recurrence.cell)
    if tap is not None and not method.taps:
        raise UnsupportedError(
            f"{method} never forms the total ∂L/∂h_t that a tap records; run it outside of the tap's block, or use BPTT"
        )
    like = recurrence.sequence.initial[0]
    if not _kernel_checks(method, recurrence) and is_readable(like):
        if not recurrence.is_fused:
            _refuse_expanded(recurrence)
            recurrence.cell.check_parameters(recurrence.parameters, like)
        recurrence.check_memory()
    device = recurrence.sequence.x.device
    if autocasts(device):
        with without_autocast(device):
            return _run(method, recurrence, tap)
    return _run(method, recurrence, tap)


def _run(
    method: GradientMethod, recurrence: Recurrence, tap: LayerTap | None
) -> tuple[Float[Tensor, "*steps hidden"], State]:
    """Choose the way: in PyTorch's operations under transforms, else eagerly in a form that the method takes."""
    if torch.compiler.is_compiling() or forward_mode_active() or transforms_active() or _only_in_torch(recurrence):
        return _run_in_torch(method, recurrence, tap)
    if method.takes(recurrence):
        return _run_eagerly(method, recurrence, tap)
    outputs, final = _run_eagerly(method, recurrence.plain(), tap)
    return recurrence.sequence.from_plain(outputs), final


def _run_eagerly(
    method: GradientMethod, recurrence: Recurrence, tap: LayerTap | None
) -> tuple[Float[Tensor, "*steps hidden"], State]:
    """Run by the method, as a node of the graph where any tensor needs a gradient."""
    if torch.is_grad_enabled():
        form, tensors, masks = recurrence.taken_apart()
        if _any_requires_grad(tensors):
            outputs, *final = _Node.apply(method, recurrence, form, masks, tap, *tensors)
            return outputs, tuple(final)
    result = method.forward(recurrence, keep=False)
    return result.outputs, result.final


def _run_in_torch(
    method: GradientMethod, recurrence: Recurrence, tap: LayerTap | None
) -> tuple[Float[Tensor, "*steps hidden"], State]:
    """Run in a graph that is recorded by the method's `traced`, under other transforms by its `in_torch`."""
    if tap is not None:
        raise UnsupportedError(
            "a tap records backward() only: leave torch.func, torch.compile and torch.jit out of its block"
        )
    if transforms_active() or not (torch.compiler.is_compiling() or jit_is_tracing()):
        return method.in_torch(recurrence)
    # torch.jit.trace records again without gradients, to compare, so the trace must not depend on them.
    differentiated = torch.is_grad_enabled() or jit_is_tracing()
    return method.traced(recurrence, differentiated and _any_requires_grad(recurrence.taken_apart()[1]))


def _only_in_torch(recurrence: Recurrence) -> bool:
    """Return whether PyTorch itself must differentiate: in a jit trace, for complex numbers, for tensor-like objects.

    A jit trace cannot save the call of an autograd.Function. The derivatives of cells hold for real numbers.
    """
    x, like = recurrence.sequence.x, recurrence.sequence.initial[0]
    return jit_is_tracing() or like.is_complex() or not isinstance(x, Tensor)


class _Node(torch.autograd.Function):
    """Node of PyTorch's graph that calls a gradient method.

    Autograd sees tensors only as arguments, so `forward` gets those of `recurrence` again, taken apart; `backward` puts
    the recurrence together from the saved tensors and `form`.
    """

    @staticmethod
    def forward(
        ctx: Any,
        method: GradientMethod,
        recurrence: Recurrence,
        form: Form,
        masks: tuple[Tensor, ...],
        tap: LayerTap | None,
        *tensors: Tensor,
    ) -> tuple[Tensor, ...]:
        result = method.forward(recurrence, keep=True)
        ctx.method, ctx.form, ctx.tap, ctx.trace = method, form, tap, replace(result.trace, tensors=())
        if not _kernel_checks(method, recurrence):
            ctx.kinds = [(tuple(tensor.shape), tensor.dtype, tensor.device) for tensor in (*tensors, *masks)]
        # Lengths and resets too: autograd checks that saved tensors are unchanged when the backward pass reads them.
        ctx.save_for_backward(*tensors, *masks, *result.trace.tensors)
        return result.outputs, *result.final

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        recurrence, kept = ctx.form.put_together(_saved(ctx))
        trace = replace(ctx.trace, tensors=kept)
        if not _kernel_checks(ctx.method, recurrence):
            for (name, tensor), kind in zip(recurrence.named_tensors(), ctx.kinds, strict=True):
                check_tensor(name, tensor, *kind)
        # Argument 5 of `forward` is x: the first of `tensors`, after the five arguments that have no gradient.
        arriving = Cotangents(cotangents[0], cotangents[1:], ctx.needs_input_grad[5])
        with without_autocast(recurrence.sequence.x.device):
            gradients = _differentiate(ctx.method, recurrence, trace, arriving, ctx.tap)
        return None, None, None, None, None, *ctx.form.in_order(gradients)


def _saved(ctx: Any) -> tuple[Tensor, ...]:
    """Return the tensors that the forward pass saved.

    Raises:
        UnsupportedError: the outputs, which are among them, were changed in place.
    """
    try:
        return ctx.saved_tensors
    except RuntimeError as error:
        if not re.search(r"modified by an inplace operation.* is output 0 of _Node", str(error), re.DOTALL):
            raise
        raise UnsupportedError(
            f"the outputs of a layer of {ctx.form.cell} were changed in place after the forward pass, and the backward "
            "pass reads them: write y = y.relu() for y.relu_(), y = y * mask for y *= mask, ReLU() for "
            "ReLU(inplace=True); or change y.clone()"
        ) from error


def _differentiate(
    method: GradientMethod, recurrence: Recurrence, trace: Trace, cotangents: Cotangents, tap: LayerTap | None
) -> Gradients:
    """Call the method's `backward`, or with create_graph that of its `twice_differentiable()` on the loop."""
    if tap is not None:
        tap.begin(*recurrence.sequence.shape, recurrence.sequence.initial[0])
    arriving = (cotangents.outputs, *cotangents.final)
    have_memory = all(map(has_memory, arriving))
    direct = have_memory and not torch.is_grad_enabled() and are_plain_or_fake(*arriving)
    if not (direct and _kernel_checks(method, recurrence)) and is_readable(recurrence.sequence.x):
        recurrence.check_memory()
        for name, tensors in (("∂L/∂outputs or ∂L/∂final", arriving), ("the trace", trace.tensors)):
            for tensor in tensors:
                check_memory(name, tensor)
    if not have_memory:
        return _differentiate_in_torch(method, recurrence, cotangents)
    if direct:
        return method.backward(recurrence, trace, cotangents, StepNorms(method.clip_step, tap))
    # create_graph: the gradient will be differentiated, so the trace is made again with a graph back to the inputs.
    # Cotangents of another class are for PyTorch's operations as well.
    method, sequence, looped = method.twice_differentiable(), recurrence.sequence, recurrence.looped()
    cotangents = replace(cotangents, outputs=sequence.to_plain(cotangents.outputs))
    again = method.forward(looped, keep=True).trace
    gradients = method.backward(looped, again, cotangents, StepNorms(method.clip_step, tap))
    return gradients if gradients.x is None else replace(gradients, x=sequence.from_plain(gradients.x))


def _differentiate_in_torch(method: GradientMethod, recurrence: Recurrence, cotangents: Cotangents) -> Gradients:
    """Let PyTorch differentiate the loop.

    PyTorch has rules for a batched backward pass (is_grads_batched), and the methods have none.
    """
    form, tensors, masks = recurrence.taken_apart()
    x, *others = [tensor.detach() for tensor in tensors]
    wanted = others if recurrence.sequence.one_hot else [x, *others]
    with torch.enable_grad():
        for tensor in wanted:
            tensor.requires_grad_()
        outputs, final = method.in_torch(form.put_together((x, *others, *masks))[0])
    given = (cotangents.outputs, *cotangents.final)
    derivatives = torch.autograd.grad((outputs, *final), wanted, given, allow_unused=True, materialize_grads=True)
    return form.named(None, derivatives) if recurrence.sequence.one_hot else form.named(derivatives[0], derivatives[1:])


def _refuse_expanded(recurrence: Recurrence) -> None:
    for name, value in recurrence.parameters.items():
        if is_expanded_weight(value):
            raise UnsupportedError(
                f"{name} is an ExpandedWeight, with which torch.nn's layers alone can run: take the gradient of each "
                "sample by torch.func.vmap over torch.func.grad, or use the layer's to_torch()"
            )


def _kernel_checks(method: GradientMethod, recurrence: Recurrence) -> bool:
    """Return whether a kernel reads all tensors, and nothing else does: it checks what it takes the address of."""
    return method.hands_over and recurrence.is_fused


def _any_requires_grad(tensors: tuple[Tensor, ...]) -> bool:
    return any([tensor.requires_grad for tensor in tensors])  # a list is faster than a generator for so few
