"""The fused recurrence of an affine cell: the compiled library does a whole pass in one call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from throughtime.kernels import native
from throughtime.kernels.base import Kernel
from throughtime.kernels.layout import Layout
from throughtime.types import Gradients, Parameters, Save, State

if TYPE_CHECKING:  # a kernel is below the rooms whose objects it is handed
    from throughtime.cells.affine import AffineCell
    from throughtime.cells.base import Cell
    from throughtime.gradients.norms import StepNorms
    from throughtime.gradients.sequence import Sequence

REAL = (Tensor, nn.Parameter, nn.Buffer)
SUFFIX = {torch.float32: "float", torch.float64: "double"}


@dataclass(frozen=True)
class FusedKernel(Kernel):
    """A cell's recurrence in the compiled library, on the CPU, in float32 and float64.

    Args:
        name: the cell's name in throughtime.h, or its first part.
        variant: the attribute of the cell that is the second part; "" for none.
        keeps_a_h: whether a^h of the last gate is kept beside the gates, and the gradients of the two biases differ,
            as for the GRU.
    """

    name: str
    variant: str = ""
    keeps_a_h: bool = False

    def serves(self, cell: AffineCell, sequence: Sequence) -> bool:
        like = sequence.initial[0]
        real = type(sequence.x) in REAL and type(like) in REAL  # a subclass may have no memory of its own to look into
        return real and self.takes(like.device, like.dtype) and native.library() is not None

    def takes(self, device: torch.device, dtype: torch.dtype) -> bool:
        """Whether the library, if it is there, serves this device and dtype."""
        return device.type == "cpu" and dtype in SUFFIX

    def full_name(self, cell: Cell) -> str:
        """The cell's name in throughtime.h."""
        return f"{self.name}_{getattr(cell, self.variant)}" if self.variant else self.name

    def kept_sizes(self, cell: AffineCell, save: Save | None) -> tuple[int, ...]:
        """What is kept beside the outputs for the backward pass, [T, B, size] each: c, gates, extra."""
        has_c, projects = len(cell.state_sizes) > 1, cell.proj_size > 0
        return self.sizes(save, cell.hidden_size, cell.gates, has_c, projects)

    def sizes(self, save: Save | None, hidden: int, gates: int, has_c: bool, projects: bool) -> tuple[int, ...]:
        """The same from the numbers that it follows from."""
        c = (hidden,) if save is not None and has_c else ()
        if save != "gates" or gates == 1:
            return c
        return (*c, gates * hidden, *((hidden,) if self.keeps_a_h or projects else ()))

    def forward(
        self, cell: AffineCell, parameters: Parameters, sequence: Sequence, save: Save | None
    ) -> tuple[Tensor, State, tuple[Tensor, ...]]:
        layout, like = Layout.of(sequence), sequence.initial[0]
        sizes = (cell.output_size, *self.kept_sizes(cell, save))
        trace = tuple(layout.room(like, size) for size in sizes)
        kept = _Kept.of(trace, save is not None and len(cell.state_sizes) > 1)
        final = tuple(map(_room_for, sequence.initial))
        problem = _Problem(cell, parameters, sequence, layout, kept)
        self._call(cell, "forward", like.dtype, native.Forward(problem.fields, *_pair(final)))
        return kept.h, final, () if save is None else trace

    def backward(
        self,
        cell: AffineCell,
        parameters: Parameters,
        sequence: Sequence,
        trace: tuple[Tensor, ...],
        d_outputs: Tensor,
        d_final: State,
        save: Save,
        needs_x: bool,
        norms: StepNorms,
    ) -> Gradients:
        layout, like = Layout.of(sequence), sequence.initial[0]
        kept = _Kept.of(trace, len(d_final) > 1)
        d_outputs, d_final = _in_rows(d_outputs), tuple(map(_dense, d_final))
        d_x = layout.room(like, cell.input_size) if needs_x else None
        d_parameters = {name: _room_for(value) for name, value in parameters.items()}
        d_initial = tuple(torch.empty_like(member) for member in d_final)
        d_reset = () if layout.resets is None else tuple(torch.empty_like(member) for member in d_final)
        found = [layout.room(like) for _ in d_final] if norms.tap is not None else []
        problem = _Problem(cell, parameters, sequence, layout, kept)
        arguments = native.Backward(
            problem.fields, d_outputs.data_ptr(), *_strides(d_outputs), *_pair(d_final), norms.clip_step or 0.0,
            _at(d_x), *(_at(d_parameters.get(name)) for name in native.WEIGHTS),
            *_pair(found), *_pair(d_initial), *_pair(d_reset),
        )  # fmt: skip
        self._call(cell, "backward", like.dtype, arguments)
        if cell.bias and not self.keeps_a_h:
            # Equal, but not one tensor: whoever scales gradients in place would scale it twice.
            d_parameters["bias_hh"].copy_(d_parameters["bias_ih"])
        if norms.tap is not None:
            norms.tap.fill([sequence.to_plain(norm) for norm in found], norms.clip_step)
        return Gradients(d_parameters, d_x, d_initial, d_reset or None)

    def entering(self, cell: AffineCell, sequence: Sequence, trace: tuple[Tensor, ...]) -> State:
        return sequence.entered_by(trace[: len(cell.state_sizes)])  # the trace is h, then c

    def _call(self, cell: AffineCell, what: str, dtype: torch.dtype, arguments: native.Arguments) -> None:
        native.call(getattr(native.library(), f"tt_{self.full_name(cell)}_{what}_{SUFFIX[dtype]}"), arguments)


@dataclass(frozen=True)
class _Kept:
    """What a forward pass leaves of every step and row: h, and c, gates and extra as throughtime.h has them."""

    h: Tensor
    c: Tensor | None = None
    gates: Tensor | None = None
    extra: Tensor | None = None

    @classmethod
    def of(cls, trace: tuple[Tensor, ...], has_c: bool) -> _Kept:
        """From the tensors in the order of these attributes; h is the outputs themselves."""
        h, *rest = trace
        c = rest.pop(0) if has_c else None
        gates, extra = (*rest, None, None)[:2]
        return cls(h, c, gates, extra)


class _Problem:
    """`tt_problem`, and the tensors that its addresses point into: of a temporary only the address would be left."""

    def __init__(
        self, cell: AffineCell, parameters: Parameters, sequence: Sequence, layout: Layout, kept: _Kept
    ) -> None:
        x = sequence.x.to(torch.int64).contiguous() if sequence.one_hot else _in_rows(sequence.x)
        where = (None, 0, 0, x.data_ptr()) if sequence.one_hot else (x.data_ptr(), *_strides(x), None)
        weights = [_dense(parameters[name]) if name in parameters else None for name in native.WEIGHTS]
        initial = tuple(map(_dense, sequence.initial))
        reset = () if layout.resets is None else tuple(map(_dense, sequence.reset_state))
        self._held = (x, weights, initial, reset)
        self.fields = native.Problem(
            layout.steps, layout.batch, cell.input_size, cell.hidden_size, cell.output_size, layout.reverse,
            layout.valid is not None, _at(layout.lengths), _at(layout.resets), *where,
            *map(_at, weights), *_pair(initial), *_pair(reset),
            _at(kept.h), _at(kept.c), _at(kept.gates), _at(kept.extra),
        )  # fmt: skip


def _in_rows(steps: Tensor) -> Tensor:
    """[T, B, size] with each row's numbers side by side, whatever the other strides: no copy of a transposed batch."""
    return (steps if steps.stride(-1) == 1 or steps.shape[-1] == 1 else steps.contiguous()).resolve_neg()


def _strides(steps: Tensor) -> tuple[int, int]:
    """From step to step and from row to row; packed rows have no steps."""
    return (0, steps.stride(0)) if steps.dim() == 2 else (steps.stride(0), steps.stride(1))


def _room_for(tensor: Tensor) -> Tensor:
    """Room for something of that shape, dense whatever the tensor's own strides."""
    return torch.empty_like(tensor, memory_format=torch.contiguous_format)


def _dense(tensor: Tensor) -> Tensor:
    """Side by side in memory, and as it is: a view of a complex number's conjugate has its sign elsewhere."""
    return tensor.contiguous().resolve_neg()


def _at(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _pair(members: State | list[Tensor]) -> tuple[int | None, int | None]:
    """The addresses of (h, c); None for what is not there."""
    h, c = (*members, None, None)[:2]
    return _at(h), _at(c)
