"""The kernels as operators of PyTorch, for torch.compile and torch.export: each pass is one node of the graph.

Outside of these the kernels are called directly, which costs less.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from throughtime.cells import ElmanCell, GRUCell, LSTMCell
from throughtime.cells.affine import AffineCell
from throughtime.cells.base import Cell
from throughtime.gradients.norms import StepNorms
from throughtime.gradients.sequence import Sequence, check_indices
from throughtime.kernels import native
from throughtime.kernels.fused import FusedKernel
from throughtime.types import Parameters, Save, State

CELLS: dict[str, Callable[[int, int, bool, int], AffineCell]] = {
    "elman_tanh": lambda inputs, hidden, bias, _: ElmanCell(inputs, hidden, bias, nonlinearity="tanh"),
    "elman_relu": lambda inputs, hidden, bias, _: ElmanCell(inputs, hidden, bias, nonlinearity="relu"),
    "elman_identity": lambda inputs, hidden, bias, _: ElmanCell(inputs, hidden, bias, nonlinearity="identity"),
    "lstm": lambda inputs, hidden, bias, proj_size: LSTMCell(inputs, hidden, bias, proj_size=proj_size),
    "gru": lambda inputs, hidden, bias, _: GRUCell(inputs, hidden, bias),
}
"""(input_size, hidden_size, bias, proj_size) → the cell whose kernel has that name: an exported graph has only that."""

_SMALL = {name: make(1, 2, True, 0) for name, make in CELLS.items()}
GATES = {name: cell.gates for name, cell in _SMALL.items()}
KERNELS: dict[str, FusedKernel] = {name: vars(type(cell))["kernel"] for name, cell in _SMALL.items()}


def kernel_of(cell: Cell, sequence: Sequence) -> FusedKernel | None:
    """The kernel that `recurrence_of` can run this cell with; None if there is none for these tensors."""
    kernel = vars(type(cell)).get("kernel")
    like = sequence.initial[0]
    if not isinstance(kernel, FusedKernel) or not kernel.takes(like.device, like.dtype) or not _built():
        return None
    return kernel


@torch.compiler.assume_constant_result
def _built() -> bool:
    return native.library() is not None


def recurrence_of(
    name: str, parameters: Parameters, sequence: Sequence, save: Save | None, clip_step: float | None
) -> tuple[Tensor, State]:
    """The outputs and the final state, by the kernel of that name; see `gradients.BPTT`."""
    members = len(sequence.initial)
    results = recurrence(
        name,
        sequence.x,
        list(sequence.initial),
        list(sequence.reset_state) if sequence.resets is not None else [],
        list(parameters.values()),
        sequence.lengths,
        sequence.resets,
        sequence.batch_sizes,
        sequence.reverse,
        save or "",
        clip_step or 0.0,
    )
    return results[0], tuple(results[1 : 1 + members])


def _taken_apart(
    name: str,
    x: Tensor,
    initial: list[Tensor],
    reset_state: list[Tensor],
    weights: list[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    batch_sizes: Tensor | None,
    reverse: bool,
) -> tuple[AffineCell, Parameters, Sequence]:
    rows, inputs = weights[0].shape
    outputs, hidden = weights[1].shape[1], rows // GATES[name]
    bias = len(weights) >= 4
    cell = CELLS[name](inputs, hidden, bias, outputs if outputs != hidden else 0)
    parameters = dict(zip(cell.parameter_shapes(), weights, strict=True))
    one_hot = 0 if x.is_floating_point() else inputs
    masks = (lengths, resets, batch_sizes, reverse, one_hot)
    return cell, parameters, Sequence(x, tuple(initial), tuple(reset_state), *masks)


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
    """The forward pass: the outputs, the final state, and what `recurrence_backward` needs beside the outputs."""
    cell, parameters, sequence = _taken_apart(
        name, x, initial, reset_state, weights, lengths, resets, batch_sizes, reverse
    )
    if sequence.one_hot:
        check_indices(x, sequence.one_hot, None if batch_sizes is not None else lengths)
    kept = save if save in ("gates", "states") else None
    outputs, final, trace = KERNELS[name].forward(cell, parameters, sequence, kept)
    return [outputs, *final, *trace[1:]]


@recurrence.register_fake
def _(name, x, initial, reset_state, weights, lengths, resets, batch_sizes, reverse, save, clip_step):
    # The sizes may be symbols here, which no cell can be made of.
    steps, like = x.shape[:-1] if x.is_floating_point() else x.shape, initial[0]
    hidden, projects = weights[0].shape[0] // GATES[name], len(weights) in (3, 5)
    sizes = KERNELS[name].sizes(save or None, hidden, GATES[name], len(initial) > 1, projects)
    return [
        like.new_empty(*steps, weights[1].shape[1]),
        *(torch.empty_like(member, memory_format=torch.contiguous_format) for member in initial),
        *(like.new_empty(*steps, size) for size in sizes),
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
    """∂L/∂x (not of indices), of the initial state, with resets of the reset state, of the weights."""
    cell, parameters, sequence = _taken_apart(
        name, x, initial, reset_state, weights, lengths, resets, batch_sizes, reverse
    )
    gradients = KERNELS[name].backward(
        cell,
        parameters,
        sequence,
        tuple(trace),
        d_outputs,
        tuple(d_final),
        "gates" if save == "gates" else "states",
        needs_x=not sequence.one_hot,
        norms=StepNorms(clip_step or None),
    )
    d_weights = [gradients.parameters[key] for key in parameters]
    d_x = [] if gradients.x is None else [gradients.x]
    return [*d_x, *gradients.initial, *(gradients.reset_state or ()), *d_weights]


@recurrence_backward.register_fake
def _(
    name,
    x,
    initial,
    reset_state,
    weights,
    lengths,
    resets,
    batch_sizes,
    reverse,
    save,
    clip_step,
    trace,
    d_outputs,
    d_final,
):
    contiguous = torch.contiguous_format
    differentiable = [x] if x.is_floating_point() else []
    return [
        torch.empty_like(one, memory_format=contiguous) for one in (*differentiable, *initial, *reset_state, *weights)
    ]


def _save(ctx, inputs, output) -> None:
    name, x, initial, reset_state, weights, lengths, resets, batch_sizes, reverse, save, clip_step = inputs
    outputs, *rest = output
    ctx.counts = len(initial), len(reset_state), len(weights)
    ctx.options = name, reverse, save, clip_step
    ctx.masks = [mask is not None for mask in (lengths, resets, batch_sizes)]
    masks = [mask for mask in (lengths, resets, batch_sizes) if mask is not None]
    ctx.save_for_backward(x, *initial, *reset_state, *weights, *masks, outputs, *rest[len(initial) :])


def _backward(ctx, d_results: list[Tensor]) -> tuple:
    members, resetting, weights = ctx.counts
    saved = list(ctx.saved_tensors)

    def take(count: int) -> list[Tensor]:
        taken, saved[:count] = saved[:count], []
        return taken

    x, initial, reset_state, parameters = take(1)[0], take(members), take(resetting), take(weights)
    lengths, resets, batch_sizes = (take(1)[0] if there else None for there in ctx.masks)
    name, *options = ctx.options
    d_outputs, *rest = d_results
    tensors = (x, initial, reset_state, parameters, lengths, resets, batch_sizes)
    gradients = recurrence_backward(name, *tensors, *options, saved, d_outputs, rest[:members])
    d_x, *rest = gradients if x.is_floating_point() else [None, *gradients]
    d_initial, rest = rest[:members], rest[members:]
    return None, d_x, d_initial, rest[:resetting], rest[resetting:], *[None] * 6


recurrence.register_autograd(_backward, setup_context=_save)
