"""Runner of affine cells that calls the compiled library once per pass."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from throughtime.kernels import native
from throughtime.sequences.norms import StepNorms
from throughtime.sequences.runner import NOTHING, Cotangents, Pass, Runner, Trace
from throughtime.sequences.sequence import Sequence
from throughtime.types import Gradients, Parameters, Save, State

PLAIN_TENSORS = (Tensor, nn.Parameter, nn.Buffer)
"""Tensor classes whose memory can be read; a tensor of a subclass may have no memory."""

INITIAL, RESET, FINAL = ("initial_h", "initial_c"), ("reset_h", "reset_c"), ("final_h", "final_c")
D_FINAL, D_INITIAL, D_RESET = ("d_final_h", "d_final_c"), ("d_initial_h", "d_initial_c"), ("d_reset_h", "d_reset_c")
NORM = ("norm_h", "norm_c")
"""Fields of throughtime.h for states: the member h, then the member c."""


@dataclass(frozen=True)
class Sizes:
    """Sizes of a cell, as its kernel needs them.

    Attributes:
        input, hidden, output: I, H, and the size P of h, which is H without a projection.
        gates: number of blocks of H rows in the weights.
        has_c: whether the state has a second member c [B, H].
        bias: whether b_ih and b_hh are among the weights.
    """

    input: int
    hidden: int
    output: int
    gates: int
    has_c: bool
    bias: bool

    @classmethod
    def of_weights(cls, initial: list[Tensor], weights: list[Tensor]) -> "Sizes":
        """Infer the sizes from an initial state and weights.

        The weights are in the order of the layer's parameters.
        """
        weight_ih, weight_hh = weights[:2]
        output = weight_hh.shape[1]
        hidden = initial[-1].shape[1]  # h without a projection, or c
        bias = len(weights) >= 4
        return cls(weight_ih.shape[1], hidden, output, weight_ih.shape[0] // hidden, len(initial) > 1, bias)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the weights in the order of the layer's parameters."""
        biases = ("bias_ih", "bias_hh") if self.bias else ()
        return ("weight_ih", "weight_hh", *biases, *(("weight_hr",) if self.output != self.hidden else ()))


@dataclass(frozen=True)
class FusedKernel(Runner):
    """Runner in the compiled library, on the CPU, in float32 and float64.

    The tensors of a trace are `h`, `c` (if the cell has c), `gates` and `extra` of throughtime.h, in this order; the
    last of them may be missing.

    Args:
        name: the cell's name in throughtime.h.
        sizes: the sizes of the cell.
    """

    name: str
    sizes: Sizes

    def serves(self, sequence: Sequence) -> bool:
        like = sequence.initial[0]
        # While a graph is traced its tensors have no memory; the operator is called later, with real tensors.
        plain = torch.compiler.is_compiling() or type(sequence.x) in PLAIN_TENSORS and type(like) in PLAIN_TENSORS
        return plain and like.device.type == "cpu" and like.dtype in native.SUFFIXES and native.is_built()

    def kept_sizes(self, save: Save | None) -> tuple[int, ...]:
        """Return the sizes of the kept tensors c, gates and extra, per step and row."""
        sizes = self.sizes
        c = (sizes.hidden,) if save is not None and sizes.has_c else ()
        if save != "gates" or sizes.gates == 1:
            return c
        extra = native.biases_differ(self.name) or sizes.output != sizes.hidden
        return (*c, sizes.gates * sizes.hidden, *((sizes.hidden,) if extra else ()))

    def forward(self, parameters: Parameters, sequence: Sequence, save: Save | None) -> Pass:
        problem = _Problem(self.sizes, parameters, sequence)
        kept = tuple(problem.room(size) for size in (self.sizes.output, *self.kept_sizes(save)))
        problem.point_to_kept(kept, self.sizes.has_c and save is not None)
        final = tuple(map(_room_for, sequence.initial))
        arguments = native.ForwardArguments(problem=problem.fields)
        _point(arguments, FINAL, final)
        self._call("forward", arguments, problem.like.dtype)
        return Pass(kept[0], final, Trace(kept, save) if save else NOTHING)

    def backward(
        self, parameters: Parameters, sequence: Sequence, trace: Trace, cotangents: Cotangents, norms: StepNorms
    ) -> Gradients:
        problem = _Problem(self.sizes, parameters, sequence)
        problem.point_to_kept(trace.tensors, self.sizes.has_c)
        d_outputs, d_final = _in_rows(cotangents.outputs), tuple(map(_dense, cotangents.final))
        d_x = problem.room(self.sizes.input) if cotangents.needs_x else None
        d_parameters = {name: _room_for(value) for name, value in parameters.items()}
        d_initial = tuple(map(torch.empty_like, d_final))
        d_reset = () if sequence.resets is None else tuple(map(torch.empty_like, d_final))
        measured = () if norms.tap is None else tuple(problem.room() for _ in d_final)
        step, row = _strides(d_outputs)
        arguments = native.BackwardArguments(
            problem=problem.fields, d_h=d_outputs.data_ptr(), d_h_step=step, d_h_row=row, clip=norms.clip_step or 0.0
        )
        if d_x is not None:
            arguments.d_x = d_x.data_ptr()
        for name, value in d_parameters.items():
            setattr(arguments, f"d_{name}", value.data_ptr())
        _point(arguments, D_FINAL, d_final)
        _point(arguments, NORM, measured)
        _point(arguments, D_INITIAL, d_initial)
        _point(arguments, D_RESET, d_reset)
        self._call("backward", arguments, problem.like.dtype)
        if self.sizes.bias and not native.biases_differ(self.name):
            # Not the same tensor: code that scales gradients in place would scale it twice.
            d_parameters["bias_hh"].copy_(d_parameters["bias_ih"])
        if norms.tap is not None:
            norms.tap.record_all([sequence.to_plain(norm) for norm in measured], norms.clip_step)
        return Gradients(d_parameters, d_x, d_initial, d_reset or None)

    def entering(self, sequence: Sequence, trace: Trace) -> State:
        return sequence.entered_by(trace.tensors[: 1 + self.sizes.has_c])

    def _call(self, what: str, arguments: native.Arguments, dtype: torch.dtype) -> None:
        native.call(native.entry_point(self.name, what, dtype), arguments)


class _Problem:
    """Struct `tt_problem`, with references to the tensors whose addresses it holds.

    The references keep temporary tensors alive until the call.
    """

    def __init__(self, sizes: Sizes, parameters: Parameters, sequence: Sequence) -> None:
        self.sequence, self.like, self.shape = sequence, sequence.initial[0], sequence.shape
        x = sequence.x.to(torch.int64).contiguous() if sequence.one_hot else _in_rows(sequence.x)
        weights = [_dense(value) for value in parameters.values()]
        initial = [_dense(member) for member in sequence.initial]
        self._held: list[Any] = [x, weights, initial]
        fields = self.fields = native.TtProblem(
            steps=self.shape[0],
            batch=self.shape[1],
            input=sizes.input,
            hidden=sizes.hidden,
            output=sizes.output,
            reverse=sequence.reverse,
            packed=sequence.batch_sizes is not None,
        )
        for name, value in zip(parameters, weights, strict=True):
            setattr(fields, name, value.data_ptr())
        if sequence.one_hot:
            fields.index = x.data_ptr()
        else:
            fields.x = x.data_ptr()
            fields.x_step, fields.x_row = _strides(x)
        _point(fields, INITIAL, initial)
        if sequence.lengths is not None or sequence.resets is not None:
            self._point_to_masks()

    def _point_to_masks(self) -> None:
        """Set the addresses of lengths and resets, and of the state that resets return to."""
        sequence, fields = self.sequence, self.fields
        if sequence.lengths is not None:
            lengths = sequence.lengths.to(torch.int64).contiguous()
            fields.lengths = lengths.data_ptr()
            self._held.append(lengths)
        if sequence.resets is not None:
            resets = sequence.from_padded(sequence.resets).contiguous().view(torch.uint8)
            reset_state = [_dense(member) for member in sequence.reset_state]
            fields.resets = resets.data_ptr()
            _point(fields, RESET, reset_state)
            self._held += [resets, reset_state]

    def room(self, *size: int) -> Tensor:
        """Allocate [T, B, *size], or [N, *size] for packed rows.

        With `lengths` a padded tensor starts as zeros, because kernels write nothing after a row's end.
        """
        if self.sequence.batch_sizes is not None:
            return self.like.new_empty(len(self.sequence.x), *size)
        shape = (*self.shape, *size)
        return self.like.new_empty(shape) if self.sequence.lengths is None else self.like.new_zeros(shape)

    def point_to_kept(self, kept: tuple[Tensor, ...], has_c: bool) -> None:
        """Set the addresses of the tensors of a trace, in the order of `FusedKernel`.

        The caller keeps the tensors alive. `has_c` tells whether c is among them.
        """
        _point(self.fields, ("h", "c", "gates", "extra") if has_c else ("h", "gates", "extra"), kept)


def _in_rows(steps: Tensor) -> Tensor:
    """Make the last axis contiguous.

    Other strides are kept, so that a transposed batch is not copied. A negative view, whose sign is not in memory, is
    copied.
    """
    return (steps if steps.stride(-1) == 1 or steps.shape[-1] == 1 else steps.contiguous()).resolve_neg()


def _strides(steps: Tensor) -> tuple[int, int]:
    """Return the strides of steps and of rows in elements; 0 for the steps of packed rows."""
    return (0, steps.stride(0)) if steps.dim() == 2 else (steps.stride(0), steps.stride(1))


def _room_for(tensor: Tensor) -> Tensor:
    """Allocate a contiguous tensor of the same shape and dtype."""
    return torch.empty_like(tensor, memory_format=torch.contiguous_format)


def _dense(tensor: Tensor) -> Tensor:
    """Make a tensor contiguous; a negative view, whose sign is not in memory, is copied."""
    return tensor.contiguous().resolve_neg()


def _point(fields: Any, names: tuple[str, ...], tensors: Iterable[Tensor]) -> None:
    """Set the fields `names` to the addresses of the tensors; fields without a tensor stay NULL."""
    for name, tensor in zip(names, tensors, strict=False):
        setattr(fields, name, tensor.data_ptr())
