"""Runner of affine cells that calls the compiled library once per pass."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from throughtime.errors import ArgumentError
from throughtime.kernels import native
from throughtime.kernels.addresses import Addresses, are_plain_or_fake
from throughtime.sequences.memory import check_memory
from throughtime.sequences.norms import StepNorms
from throughtime.sequences.runner import NOTHING, Cotangents, Pass, Runner, Trace
from throughtime.sequences.sequence import Sequence
from throughtime.types import Gradients, Parameters, Save, State

INITIAL, RESET, FINAL = ("initial_h", "initial_c"), ("reset_h", "reset_c"), ("final_h", "final_c")
D_FINAL, D_INITIAL, D_RESET = ("d_final_h", "d_final_c"), ("d_initial_h", "d_initial_c"), ("d_reset_h", "d_reset_c")
NORM = ("norm_h", "norm_c")
"""Fields of throughtime.h for states: the member h, then the member c."""

KEPT, KEPT_WITHOUT_C = ("h", "c", "gates", "extra"), ("h", "gates", "extra")
"""Fields of throughtime.h for the tensors of a trace, with c and without."""


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

        Raises:
            ArgumentError: they are not so many, or no matrices [rows, columns] and [rows].
        """
        matrices = (*initial, *weights[:2])
        if len(matrices) != len(initial) + 2 or not initial or any(matrix.dim() != 2 for matrix in matrices):
            raise ArgumentError(
                "initial, weights",
                f"have the shapes {[tuple(matrix.shape) for matrix in (*initial, *weights)]}",
                "they must be h [batch, size], or h and c, and the weights in the order of a layer",
            )
        weight_ih, weight_hh = weights[:2]
        output = weight_hh.shape[1]
        hidden = initial[-1].shape[1] or 1  # h without a projection, or c; 0 units are refused by their weights
        bias = len(weights) >= 4
        return cls(weight_ih.shape[1], hidden, output, weight_ih.shape[0] // hidden, len(initial) > 1, bias)

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the weights by name, in the order of the layer's parameters."""
        rows = self.gates * self.hidden
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, self.input), "weight_hh": (rows, self.output)}
        if self.bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        if self.output != self.hidden:
            shapes["weight_hr"] = (self.output, self.hidden)
        return shapes


@dataclass(frozen=True)
class CompiledKernel(Runner):
    """Runner in the compiled library, on the CPU, in float32 and float64.

    PyTorch sees nothing of its work; `FusedKernel` is the runner that cells use.

    The tensors of a trace are `h`, `c` (if the cell has c), `gates` and `extra` of throughtime.h, in this order; the
    last of them may be missing.

    Args:
        name: the cell's name in throughtime.h.
        sizes: the sizes of the cell.
    """

    name: str
    sizes: Sizes

    def serves(self, parameters: Parameters, sequence: Sequence) -> bool:
        like = sequence.initial[0]
        # While a graph is recorded its tensors have no memory; the operator runs later, with real tensors, or never.
        fits = torch.compiler.is_compiling() or are_plain_or_fake(sequence.x, *sequence.initial, *parameters.values())
        return fits and like.dtype in native.SUFFIXES and like.device.type == "cpu" and native.is_built()

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
        problem.point_to_written(kept, self.sizes.has_c and save is not None)
        final = tuple(map(_room_for, sequence.initial))
        arguments = native.ForwardArguments(problem=problem.fields)
        _point(arguments, FINAL, final)
        self._call("forward", arguments, problem.like.dtype)
        return Pass(kept[0], final, Trace(kept, save) if save else NOTHING)

    def backward(
        self, parameters: Parameters, sequence: Sequence, trace: Trace, cotangents: Cotangents, norms: StepNorms
    ) -> Gradients:
        problem = _Problem(self.sizes, parameters, sequence)
        output, rows = self.sizes.output, (*problem.entries, self.sizes.output)
        problem.point_to_read(trace.tensors, (output, *self.kept_sizes(trace.save)), self.sizes.has_c)
        d_h, step, row = problem.addresses.of_steps("∂L/∂outputs", cotangents.outputs, rows)
        d_x = problem.room(self.sizes.input) if cotangents.needs_x else None
        d_parameters = {name: _room_for(value) for name, value in parameters.items()}
        d_initial = tuple(map(_room_for, sequence.initial))
        d_reset = () if sequence.resets is None else tuple(map(_room_for, sequence.initial))
        measured = () if norms.tap is None else tuple(problem.room() for _ in d_initial)
        arguments = native.BackwardArguments(
            problem=problem.fields, d_h=d_h, d_h_step=step, d_h_row=row, clip=norms.clip_step or 0.0
        )
        if d_x is not None:
            arguments.d_x = d_x.data_ptr()
        for name, value in d_parameters.items():
            setattr(arguments, f"d_{name}", value.data_ptr())
        problem.point_to_states(arguments, D_FINAL, cotangents.final)
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
    """Struct `tt_problem`, with references to the tensors whose addresses it holds."""

    def __init__(self, sizes: Sizes, parameters: Parameters, sequence: Sequence) -> None:
        self.sequence, self.like, self.shape = sequence, sequence.initial[0], sequence.shape
        self.addresses = Addresses(self.like.dtype)
        (steps, rows), packed = self.shape, sequence.batch_sizes is not None
        self.entries = sequence.x.shape[:1] if packed else self.shape
        self.state_shapes = ((rows, sizes.output), (rows, sizes.hidden))[: 1 + sizes.has_c]
        fields = self.fields = native.TtProblem(
            steps=steps if rows else 0,  # without rows there is nothing to walk through
            batch=rows,
            input=sizes.input,
            hidden=sizes.hidden,
            output=sizes.output,
            reverse=sequence.reverse,
            packed=packed,
            entries=self.entries[0] if packed else steps * rows,
        )
        of = self.addresses.of
        for name, shape in sizes.shapes.items():
            setattr(fields, name, of(name, parameters[name], shape))
        if sequence.one_hot:
            fields.index = of("input", sequence.x, self.entries, torch.int64)
        else:
            x_shape = (*self.entries, sizes.input)
            fields.x, fields.x_step, fields.x_row = self.addresses.of_steps("input", sequence.x, x_shape)
        self.point_to_states(fields, INITIAL, sequence.initial)
        if sequence.lengths is not None or sequence.resets is not None:
            self._point_to_masks()

    def _point_to_masks(self) -> None:
        """Set the addresses of lengths and resets, and of the state that resets return to."""
        sequence, fields, of = self.sequence, self.fields, self.addresses.of
        if sequence.lengths is not None:
            fields.lengths = of("lengths", sequence.lengths, self.shape[1:], torch.int64)
        if sequence.resets is not None:
            check_memory("resets", sequence.resets)  # `from_padded` reads them
            fields.resets = of("resets", sequence.from_padded(sequence.resets), self.entries, torch.bool)
            self.point_to_states(fields, RESET, sequence.reset_state)

    def point_to_states(self, fields: Any, names: tuple[str, ...], state: State) -> None:
        """Set the fields `names` to the addresses of a state that is read, h or h and c."""
        if len(state) != len(self.state_shapes):
            raise ArgumentError(names[0], f"came with {len(state)} members", f"it must have {len(self.state_shapes)}")
        for name, member, shape in zip(names, state, self.state_shapes, strict=False):
            setattr(fields, name, self.addresses.of(name, member, shape))

    def room(self, *size: int) -> Tensor:
        """Allocate [T, B, *size], or [N, *size] for packed rows.

        With `lengths` a padded tensor starts as zeros, because kernels write nothing after a row's end.
        """
        if self.sequence.batch_sizes is not None:
            return self.like.new_empty(len(self.sequence.x), *size)
        shape = (*self.shape, *size)
        return self.like.new_empty(shape) if self.sequence.lengths is None else self.like.new_zeros(shape)

    def point_to_written(self, kept: tuple[Tensor, ...], has_c: bool) -> None:
        """Set the addresses of the tensors of a trace that the forward pass writes, in the order of `CompiledKernel`.

        The caller keeps the tensors alive. `has_c` tells whether c is among them.
        """
        _point(self.fields, KEPT if has_c else KEPT_WITHOUT_C, kept)

    def point_to_read(self, kept: tuple[Tensor, ...], sizes: tuple[int, ...], has_c: bool) -> None:
        """Set the addresses of the tensors of a trace that the backward pass reads.

        Args:
            kept: the tensors, in the order of `CompiledKernel`.
            sizes: the size of each, per step and row.
            has_c: whether c is among them.
        """
        if len(kept) != len(sizes):
            raise ArgumentError("trace", f"has {len(kept)} tensors", f"it must have {len(sizes)}")
        for name, tensor, size in zip(KEPT if has_c else KEPT_WITHOUT_C, kept, sizes, strict=False):
            address = self.addresses.of(f"{name} of the forward pass", tensor, (*self.entries, size))
            setattr(self.fields, name, address)


def _room_for(tensor: Tensor) -> Tensor:
    """Allocate a contiguous tensor of the same shape and dtype."""
    return torch.empty_like(tensor, memory_format=torch.contiguous_format)


def _point(fields: Any, names: tuple[str, ...], tensors: Iterable[Tensor]) -> None:
    """Set the fields `names` to the addresses of tensors made here; fields without a tensor stay NULL."""
    for name, tensor in zip(names, tensors, strict=False):
        setattr(fields, name, tensor.data_ptr())
