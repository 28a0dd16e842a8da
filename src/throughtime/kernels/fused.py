"""The fused recurrence of an affine cell: large products by torch, everything that runs in time by the library."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from throughtime.kernels import native
from throughtime.kernels.base import Kernel
from throughtime.kernels.packing import Packing
from throughtime.kernels.products import linear, sum_of_outer
from throughtime.types import Gradients, Parameters, Save, State

if TYPE_CHECKING:  # a kernel is below the rooms whose objects it is handed
    from throughtime.cells.affine import AffineCell
    from throughtime.gradients.norms import StepNorms
    from throughtime.gradients.sequence import Sequence

SUFFIX = {torch.float32: "float", torch.float64: "double"}


@dataclass(frozen=True)
class FusedKernel(Kernel):
    """A cell's recurrence in the compiled library, on the CPU, in float32 and float64.

    Args:
        name: the cell's name in throughtime.h; "{0.…}" is filled in from the cell.
        splits_last: whether ∂L/∂a^x and ∂L/∂a^h differ in the last gate, as the GRU's do: the errors are then those of
            the last gate of a^x, the other gates, and the last gate of a^h.
    """

    name: str
    splits_last: bool = False

    def serves(self, cell: AffineCell, sequence: Sequence) -> bool:
        x = sequence.x
        return x.device.type == "cpu" and x.dtype in SUFFIX and x.numel() > 0 and native.library() is not None

    def forward(
        self, cell: AffineCell, parameters: Parameters, sequence: Sequence, save: Save | None
    ) -> tuple[Tensor, State, tuple[Tensor, ...]]:
        packing = Packing.of(sequence)
        rows = _Rows.of(packing, sequence)
        n, hidden, gated = len(rows.x), cell.hidden_size, save == "gates"
        h = packing.empty_outputs(rows.x, cell.output_size)
        kept = _Kept(
            h=h.view(n, cell.output_size),
            gates=linear(rows.x, parameters["weight_ih"], parameters.get("bias_ih")),
            extra=rows.x.new_empty(n, hidden) if gated and self._has_extra(cell) else None,
            c=rows.x.new_empty(n, hidden) if save is not None and len(rows.initial) > 1 else None,
        )
        final = tuple(torch.empty_like(member) for member in rows.initial)
        weights = {name: value.contiguous() for name, value in parameters.items()}
        arguments = native.Forward(
            packing.steps, packing.batch, hidden, cell.output_size, gated, _at(packing.offsets), _at(packing.resets),
            _at(weights["weight_hh"]), _at(weights.get("bias_hh")), _at(weights.get("weight_hr")), _at(kept.gates),
            _at(kept.extra), _at(h), _at(kept.c), *_pair(rows.initial), *_pair(rows.reset), *_pair(final),
        )  # fmt: skip
        self._call(cell, "forward", h.dtype, arguments)
        trace = () if save is None else kept.trace(h, gated and cell.gates > 1)
        return packing.steps_of(h), packing.states_back(final), trace

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
        packing = Packing.of(sequence)
        rows, d_h, d_final = _Rows.of(packing, sequence), packing.rows(d_outputs), packing.states(d_final)
        kept = _Kept.of(trace, len(d_final) > 1)
        if kept.gates is not None or cell.gates == 1:
            back = self._back(cell, parameters, packing, rows, kept, d_h, d_final, needs_x, norms)
        else:
            back = self._back_by_chunks(cell, parameters, packing, rows, kept, d_h, d_final, needs_x, norms)
        if norms.tap is not None:
            norms.tap.fill([packing.steps_of(norm[:, None])[..., 0] for norm in back.norms], norms.clip_step)
        return Gradients(
            back.parameters,
            None if back.x is None else packing.steps_of(back.x),
            packing.states_back(back.initial),
            packing.states_back(back.reset) if back.reset else None,
        )

    def _back_by_chunks(
        self,
        cell: AffineCell,
        parameters: Parameters,
        packing: Packing,
        rows: _Rows,
        kept: _Kept,
        d_h: Tensor,
        d_final: State,
        needs_x: bool,
        norms: StepNorms,
    ) -> _Back:
        """The same from the states alone: of each chunk of steps the gates are computed again, then its gradients."""
        backs: list[_Back] = []
        for start, stop in packing.chunks():
            cut, part = packing.span(start, stop), packing.part(start, stop)
            states = kept.states()
            initial = rows.initial if start == 0 else tuple(packing.state_before(start, member) for member in states)
            here = _Rows(rows.x[cut], initial, rows.reset)
            again = self._recomputed(cell, parameters, part, here, kept.cut(cut))
            d_final = backs[-1].initial if backs else d_final
            backs.append(self._back(cell, parameters, part, here, again, d_h[cut], d_final, needs_x, norms))
        return _Back.joined(backs)

    def _recomputed(
        self, cell: AffineCell, parameters: Parameters, packing: Packing, rows: _Rows, kept: _Kept
    ) -> _Kept:
        gates = linear(rows.x, parameters["weight_ih"], parameters.get("bias_ih"))
        recurrent = torch.empty_like(gates)
        for part, state in packing.entering(kept.h, rows.initial[0], rows.reset[0] if rows.reset else None):
            recurrent[part] = linear(state, parameters["weight_hh"], parameters.get("bias_hh"))
        extra = gates.new_empty(len(gates), cell.hidden_size) if self.splits_last else None
        arguments = native.Gates(len(gates), cell.hidden_size, _at(recurrent), _at(gates), _at(extra))
        self._call(cell, "gates", gates.dtype, arguments)
        if cell.proj_size and kept.c is not None:
            extra = gates[:, -cell.hidden_size :] * torch.tanh(kept.c)  # u_t, LSTM (6)
        return replace(kept, gates=gates, extra=extra)

    def _back(
        self,
        cell: AffineCell,
        parameters: Parameters,
        packing: Packing,
        rows: _Rows,
        kept: _Kept,
        d_h: Tensor,
        d_final: State,
        needs_x: bool,
        norms: StepNorms,
    ) -> _Back:
        n, hidden = len(d_h), cell.hidden_size
        # Held in variables until the call is over: of a temporary only the address would be left.
        weight_hh = parameters["weight_hh"].contiguous()
        weight_hr = parameters["weight_hr"].contiguous() if cell.proj_size else None
        errors = d_h.new_empty(n, (cell.gates + self.splits_last) * hidden)
        d_total = d_h.new_empty(n, cell.output_size) if cell.proj_size else None
        d_initial = tuple(torch.empty_like(member) for member in rows.initial)
        d_reset = tuple(torch.zeros_like(member) for member in rows.reset)
        found = [d_h.new_empty(n) for _ in d_final] if norms.tap is not None else []
        arguments = native.Backward(
            packing.steps, packing.batch, hidden, cell.output_size, _at(packing.offsets), _at(packing.resets),
            _at(weight_hh), _at(weight_hr), _at(kept.gates), _at(kept.extra), _at(kept.h),
            _at(kept.c), *_pair(rows.initial), *_pair(rows.reset), _at(d_h), *_pair(d_final), norms.clip_step or 0.0,
            _at(errors), _at(d_total), *_pair(found), *_pair(d_initial), *_pair(d_reset),
        )  # fmt: skip
        self._call(cell, "backward", d_h.dtype, arguments)
        entering = packing.entering(kept.h, rows.initial[0], rows.reset[0] if rows.reset else None)
        d_parameters, d_x = self._products(cell, parameters, rows.x, entering, errors, needs_x)
        if d_total is not None and kept.extra is not None:
            d_parameters["weight_hr"] = sum_of_outer(d_total, kept.extra)
        return _Back(d_parameters, d_x, d_initial, d_reset, found)

    def _products(
        self,
        cell: AffineCell,
        parameters: Parameters,
        x: Tensor,
        entering: list[tuple[slice, Tensor]],
        errors: Tensor,
        needs_x: bool,
    ) -> tuple[dict[str, Tensor], Tensor | None]:
        """∂W = Σ e ⊗ input as one product over all rows, ∂b = Σ e, ∂x = e W_ih."""
        hidden, weight_ih = cell.hidden_size, parameters["weight_ih"]
        width, d_bias = cell.gates * hidden, errors.sum(0) if cell.bias else None
        e_x, e_h = errors[:, :width], errors[:, errors.shape[1] - width :]
        d_parameters = {"weight_ih": sum_of_outer(e_x, x), "weight_hh": _sum_of_products(e_h, entering)}
        if d_bias is not None:
            # One tensor for both, never two views of one: autograd copies the first but would alias the second.
            d_parameters |= {"bias_ih": d_bias, "bias_hh": d_bias}
        if not self.splits_last:
            return d_parameters, linear(e_x, weight_ih.t()) if needs_x else None
        # The errors begin with the last gate: see gru.cpp.
        d_parameters["weight_ih"] = d_parameters["weight_ih"].roll(-hidden, 0)
        if d_bias is not None:
            d_parameters |= {"bias_ih": d_bias[:width].roll(-hidden), "bias_hh": d_bias[hidden:]}
        if not needs_x:
            return d_parameters, None
        # The last gate's errors are the largest, so they are added last, as torch.nn does: half the rounding error.
        d_x = linear(errors[:, hidden:width], weight_ih[: width - hidden].t())
        return d_parameters, d_x.add_(linear(errors[:, :hidden], weight_ih[width - hidden :].t()))

    def _has_extra(self, cell: AffineCell) -> bool:
        return self.splits_last or cell.proj_size > 0

    def _call(self, cell: AffineCell, what: str, dtype: torch.dtype, arguments: ctypes.Structure) -> None:
        native.call(getattr(native.library(), f"tt_{self.name.format(cell)}_{what}_{SUFFIX[dtype]}"), arguments)


@dataclass(frozen=True)
class _Rows:
    """A sequence's inputs [N, I] and states [B, size] in the rows' order; `reset` is empty where nothing is reset."""

    x: Tensor
    initial: State
    reset: State

    @classmethod
    def of(cls, packing: Packing, sequence: Sequence) -> _Rows:
        reset = () if packing.resets is None else packing.states(sequence.reset_state)
        return cls(packing.rows(sequence.x), packing.states(sequence.initial), reset)


@dataclass(frozen=True)
class _Kept:
    """What a forward pass leaves of every row: h, and c, gates and extra as throughtime.h has them."""

    h: Tensor
    c: Tensor | None = None
    gates: Tensor | None = None
    extra: Tensor | None = None

    def trace(self, outputs: Tensor, gated: bool) -> tuple[Tensor, ...]:
        """As tensors that autograd can save; h is the outputs themselves."""
        others = (self.c, self.gates, self.extra) if gated else (self.c,)
        return tuple(member for member in (outputs, *others) if member is not None)

    @classmethod
    def of(cls, trace: tuple[Tensor, ...], has_c: bool) -> _Kept:
        """The reverse of `trace`."""
        outputs, *rest = trace
        c = rest.pop(0) if has_c else None
        gates, extra = (*rest, None, None)[:2]
        return cls(outputs.flatten(0, -2), c, gates, extra)

    def states(self) -> State:
        """(h,) or (h, c)."""
        return (self.h,) if self.c is None else (self.h, self.c)

    def cut(self, rows: slice) -> _Kept:
        """The states of some rows."""
        return _Kept(self.h[rows], None if self.c is None else self.c[rows])


@dataclass(frozen=True)
class _Back:
    """Gradients in the rows' order, and the norms of the tap."""

    parameters: dict[str, Tensor]
    x: Tensor | None
    initial: State
    reset: State
    norms: list[Tensor]

    @classmethod
    def joined(cls, backs: list[_Back]) -> _Back:
        """Those of a whole sequence from those of its chunks, the last chunk first."""
        first = backs[-1]
        return cls(
            {name: _summed([back.parameters[name] for back in backs]) for name in first.parameters},
            None if first.x is None else torch.cat([back.x for back in reversed(backs) if back.x is not None]),
            first.initial,
            tuple(_summed(list(members)) for members in zip(*(back.reset for back in backs), strict=True)),
            [torch.cat(norms[::-1]) for norms in zip(*(back.norms for back in backs), strict=True)],
        )


def _summed(terms: list[Tensor]) -> Tensor:
    return terms[0] if len(terms) == 1 else torch.stack(terms).sum(dim=0)


def _sum_of_products(errors: Tensor, entering: list[tuple[slice, Tensor]]) -> Tensor:
    """Σ errorsᵀ · state over the parts that the entering states come in, without laying them side by side."""
    (part, state), *others = entering
    total = sum_of_outer(errors[part], state)
    for part, state in others:
        total += sum_of_outer(errors[part], state)
    return total


def _at(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _pair(members: State | list[Tensor]) -> tuple[int | None, int | None]:
    """The addresses of (h, c); None for what is not there."""
    h, c = (*members, None, None)[:2]
    return _at(h), _at(c)
