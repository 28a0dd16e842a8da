"""PyTorch operators of the kernels, for torch.compile and torch.export.

Each pass is a single node of the graph. Eager code calls the kernels directly, which costs less.
"""

import math
from typing import get_args

import torch
from torch import Tensor

from throughtime.errors import ArgumentError
from throughtime.kernels import native
from throughtime.kernels.addresses import check_tensor
from throughtime.kernels.compiled import CompiledKernel, Sizes
from throughtime.sequences.memory import check_memory
from throughtime.sequences.norms import StepNorms
from throughtime.sequences.runner import NOTHING, Cotangents, Pass, Trace
from throughtime.sequences.sequence import INDICES, Sequence, check_indices, valid_steps
from throughtime.types import Gradients, Parameters, Save, State


def recurrence_of(
    kernel: CompiledKernel, parameters: Parameters, sequence: Sequence, save: Save | None, clip_step: float | None
) -> tuple[Tensor, State]:
    """Run a recurrence by an operator that PyTorch differentiates.

    Returns:
        The outputs and the final state.
    """
    result = forward(kernel, parameters, sequence, save, clip_step)
    return result.outputs, result.final


def forward(
    kernel: CompiledKernel,
    parameters: Parameters,
    sequence: Sequence,
    save: Save | None,
    clip_step: float | None = None,
) -> Pass:
    """Run forward by the operator; `clip_step` acts where PyTorch differentiates the operator."""
    members = len(sequence.initial)
    outputs, *rest = recurrence(*_taken_apart(kernel, parameters, sequence), save or "", clip_step or 0.0)
    trace = Trace((outputs, *rest[members:]), save) if save else NOTHING
    return Pass(outputs, tuple(rest[:members]), trace)


def backward(
    kernel: CompiledKernel,
    parameters: Parameters,
    sequence: Sequence,
    trace: Trace,
    cotangents: Cotangents,
    clip_step: float | None,
) -> Gradients:
    """Run backward by the operator."""
    arguments = _taken_apart(kernel, parameters, sequence)
    start = cotangents.outputs, list(cotangents.final)
    results = recurrence_backward(*arguments, trace.save or "", clip_step or 0.0, list(trace.tensors), *start)
    d_x, results = (None, results) if sequence.one_hot else (results[0], results[1:])
    members, resetting = len(sequence.initial), len(arguments[3])
    d_reset = tuple(results[members : members + resetting])
    d_parameters = dict(zip(parameters, results[members + resetting :], strict=True))
    return Gradients(d_parameters, d_x if cotangents.needs_x else None, tuple(results[:members]), d_reset or None)


def _taken_apart(kernel: CompiledKernel, parameters: Parameters, sequence: Sequence) -> tuple:
    """Return the arguments `name` to `reverse` of `recurrence`."""
    return (
        kernel.name,
        sequence.x,
        list(sequence.initial),
        list(sequence.reset_state) if sequence.resets is not None else [],
        list(parameters.values()),
        sequence.lengths,
        sequence.resets,
        sequence.batch_sizes,
        sequence.reverse,
    )


def _put_together(
    name: str,
    x: Tensor,
    initial: list[Tensor],
    reset_state: list[Tensor],
    weights: list[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    batch_sizes: Tensor | None,
    reverse: bool,
) -> tuple[CompiledKernel, Parameters, Sequence]:
    """Rebuild the kernel and its arguments from those of an operator, all that an exported graph holds."""
    sizes = Sizes.of_weights(initial, weights)
    known = _known(name)
    if known != (sizes.gates, sizes.has_c):
        came = f"is {name!r}, with {sizes.gates} gates and {len(initial)} members of the state by the weights"
        raise ArgumentError("name", came, f"such a cell has {known[0]} and {1 + known[1]}")
    if initial[0].dtype not in native.SUFFIXES:
        known_dtypes = ", ".join(map(str, native.SUFFIXES))
        raise ArgumentError("initial", f"is {initial[0].dtype}", f"it must be one of {known_dtypes}")
    one_hot = sizes.input if x.dtype in INDICES else 0
    axes = 3 - bool(one_hot) - (batch_sizes is not None)
    if x.dim() != axes or (batch_sizes is not None and batch_sizes.dim() != 1):
        raise ArgumentError("x", f"has the shape {tuple(x.shape)}", f"it must have {axes} axes, and batch_sizes 1")
    if len(weights) != len(sizes.shapes):
        raise ArgumentError("weights", f"are {len(weights)} tensors", f"they must be {', '.join(sizes.shapes)}")
    _check_masks(x, initial[0], lengths, resets, batch_sizes)
    parameters = dict(zip(sizes.shapes, weights, strict=True))
    sequence = Sequence(
        x,
        initial=tuple(initial),
        reset_state=tuple(reset_state or ()),  # None from AOTInductor, for an empty list
        lengths=lengths,
        resets=resets,
        batch_sizes=batch_sizes,
        reverse=reverse,
        one_hot=one_hot,
    )
    return CompiledKernel(name, sizes), parameters, sequence


def _known(name: str) -> tuple[int, bool]:
    """Return the number of gates of a cell, and whether its state has c."""
    known = native.gates_and_c(name)
    if known is None:
        raise ArgumentError("name", f"is {name!r}", "no cell has this name")
    return known


def _check_masks(
    x: Tensor, like: Tensor, lengths: Tensor | None, resets: Tensor | None, batch_sizes: Tensor | None
) -> None:
    """Check what is read before the kernel compares shapes; `like` [B, …] has the number of rows and the device."""
    steps, rows = len(x if batch_sizes is None else batch_sizes), len(like)
    if batch_sizes is None and x.shape[1] != rows:
        raise ArgumentError("x", f"has {x.shape[1]} rows", f"the initial state has {rows}")
    if lengths is not None:
        check_tensor("lengths", lengths, (rows,), torch.int64, like.device)
    if resets is not None:
        check_tensor("resets", resets, (steps, rows), torch.bool, like.device)
    if batch_sizes is None:
        return
    # The kernel reads the lengths alone, which must say the same about the rows.
    check_tensor("batch_sizes", batch_sizes, (steps,), torch.int64, like.device)
    if lengths is None:
        raise ArgumentError("lengths", "are None", "rows that are packed (batch_sizes) need them")
    check_memory("batch_sizes", batch_sizes)
    check_memory("lengths", lengths)
    if not torch.equal(batch_sizes, valid_steps(steps, lengths).sum(1)):
        raise ArgumentError(
            "batch_sizes", "differ from those of the lengths", "they must count the rows that are valid at each step"
        )


def _check_options(save: str, clip_step: float) -> None:
    if save not in ("", *get_args(Save)):
        raise ArgumentError("save", f"is {save!r}", "it must be 'gates', 'states', or '' to keep nothing")
    if not 0 <= clip_step < math.inf:
        raise ArgumentError("clip_step", f"is {clip_step}", "it must be a finite norm, or 0 for no clipping")


def _check_fake(name: str, initial: list[Tensor], *others: Tensor | list[Tensor] | None) -> None:
    """Check what decides about the results without values.

    PyTorch takes this way as soon as one tensor is on the meta device; the results would be there only in part.
    """
    _known(name)
    tensors = [tensor for other in (initial, *others) for tensor in (other if isinstance(other, list) else [other])]
    devices = sorted({str(tensor.device) for tensor in tensors if tensor is not None})
    if len(devices) > 1:
        raise ArgumentError("the tensors", f"are on {' and '.join(devices)}", "they must be on the same device")


@torch.library.custom_op("throughtime::recurrence", mutates_args=())
def recurrence(
    name: str,
    x: Tensor,
    initial: list[Tensor],
    reset_state: list[Tensor],
    weights: list[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    batch_sizes: Tensor | None,
    reverse: bool,
    save: str,
    clip_step: float,
) -> list[Tensor]:
    """Run forward over time.

    Args:
        name: the cell's name in throughtime.h.
        x, initial, reset_state, lengths, resets, batch_sizes, reverse: see `Sequence`; an x of whole numbers holds
            indices, and reset_state is empty without resets.
        weights: the parameters in the order of `Sizes.shapes`.
        save: see `Save`; "" keeps nothing. Operators take no None here.
        clip_step: see `StepNorms`, for the backward pass; 0 for no clipping.

    Returns:
        The outputs, the members of the final state, and the rest of the trace for `recurrence_backward`.
    """
    kernel, parameters, sequence = _put_together(
        name, x, initial, reset_state, weights, lengths, resets, batch_sizes, reverse
    )
    _check_options(save, clip_step)
    if sequence.one_hot:
        check_indices(x, sequence.one_hot, None if batch_sizes is not None else lengths)
    result = kernel.forward(parameters, sequence, save if save in ("gates", "states") else None)
    return [result.outputs, *result.final, *result.trace.tensors[1:]]


@recurrence.register_fake
def _(name, x, initial, reset_state, weights, lengths, resets, batch_sizes, reverse, save, clip_step):
    _check_fake(name, initial, x, reset_state, weights, lengths, resets, batch_sizes)
    steps, like = x.shape[:-1] if x.is_floating_point() else x.shape, initial[0]
    sizes = Sizes.of_weights(initial, weights)
    return [
        like.new_empty(*steps, sizes.output),
        *(torch.empty_like(member, memory_format=torch.contiguous_format) for member in initial),
        *(like.new_empty(*steps, size) for size in CompiledKernel(name, sizes).kept_sizes(save or None)),
    ]


@torch.library.custom_op("throughtime::recurrence_backward", mutates_args=())
def recurrence_backward(
    name: str,
    x: Tensor,
    initial: list[Tensor],
    reset_state: list[Tensor],
    weights: list[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    batch_sizes: Tensor | None,
    reverse: bool,
    save: str,
    clip_step: float,
    trace: list[Tensor],
    d_outputs: Tensor,
    d_final: list[Tensor],
) -> list[Tensor]:
    """Run backward over time.

    Args:
        name, …, clip_step: as in `recurrence`.
        trace: the outputs, and the rest of the trace that `recurrence` returned.
        d_outputs, d_final: see `Cotangents`.

    Returns:
        ∂L/∂x unless x holds indices, then the derivatives by the initial state, by the reset state if there are resets,
        and by the weights.
    """
    kernel, parameters, sequence = _put_together(
        name, x, initial, reset_state, weights, lengths, resets, batch_sizes, reverse
    )
    _check_options(save, clip_step)
    kept = Trace(tuple(trace), "gates" if save == "gates" else "states")
    cotangents = Cotangents(d_outputs, tuple(d_final), needs_x=not sequence.one_hot)
    gradients = kernel.backward(parameters, sequence, kept, cotangents, StepNorms(clip_step or None))
    d_weights = [gradients.parameters[key] for key in parameters]
    d_x = [] if gradients.x is None else [gradients.x]
    return [*d_x, *gradients.initial, *(gradients.reset_state or ()), *d_weights]


@recurrence_backward.register_fake
def _(
    name, x, initial, reset_state, weights, lengths, resets, batch_sizes, reverse, save, clip, trace, d_outputs, d_final
):
    _check_fake(name, initial, x, reset_state, weights, lengths, resets, batch_sizes, trace, d_outputs, d_final)
    contiguous = torch.contiguous_format
    differentiable = [x] if x.is_floating_point() else []
    tensors = (*differentiable, *initial, *reset_state, *weights)
    return [torch.empty_like(tensor, memory_format=contiguous) for tensor in tensors]


def _save(ctx, inputs, output) -> None:
    """Save the tensors for `_backward`, which takes them in the same order.

    `inputs` are the arguments of `recurrence`.
    """
    name, x, initial, reset_state, weights, lengths, resets, batch_sizes, reverse, save, clip_step = inputs
    outputs, *rest = output
    ctx.counts = len(initial), len(reset_state), len(weights)
    ctx.options = name, reverse, save, clip_step
    ctx.masks = [mask is not None for mask in (lengths, resets, batch_sizes)]
    masks = [mask for mask in (lengths, resets, batch_sizes) if mask is not None]
    ctx.save_for_backward(x, *initial, *reset_state, *weights, *masks, outputs, *rest[len(initial) :])


def _backward(ctx, d_results: list[Tensor]) -> tuple:
    """Return a derivative for each argument of `recurrence`; None for arguments that have none."""
    members, resetting, weights = ctx.counts
    saved = list(ctx.saved_tensors)

    def take(count: int) -> list[Tensor]:
        taken, saved[:count] = saved[:count], []
        return taken

    x, initial, reset_state, parameters = take(1)[0], take(members), take(resetting), take(weights)
    # Only the masks that exist were saved, in this order.
    lengths, resets, batch_sizes = (take(1)[0] if has_mask else None for has_mask in ctx.masks)
    name, *options = ctx.options
    d_outputs, *rest = d_results
    tensors = (x, initial, reset_state, parameters, lengths, resets, batch_sizes)
    gradients = recurrence_backward(name, *tensors, *options, saved, d_outputs, rest[:members])
    d_x, *rest = gradients if x.is_floating_point() else [None, *gradients]
    d_initial, rest = rest[:members], rest[members:]
    # None for `name`, and for the six arguments after the weights.
    return None, d_x, d_initial, rest[:resetting], rest[resetting:], *[None] * 6


recurrence.register_autograd(_backward, setup_context=_save)
