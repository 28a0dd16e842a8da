"""Backpropagation through time: the exact gradient by the backward recursion."""

from dataclasses import dataclass
from typing import get_args

import torch
from jaxtyping import Float
from torch import Tensor

from throughtime.cells.base import Cell
from throughtime.errors import ArgumentError
from throughtime.gradients.base import GradientMethod
from throughtime.gradients.norms import StepNorms
from throughtime.gradients.sequence import Sequence, blank, choose, stack_steps
from throughtime.kernels.base import Kernel
from throughtime.types import Gradients, Parameters, Save, State


@dataclass(frozen=True)
class BPTT(GradientMethod):
    """Backpropagation through time ([MR] (2) and (8)), the default: exact, and the fastest where memory allows.

    G_T = g_T,  G_t = g_t + J_{t+1}ᵀ G_{t+1};  the weights' gradients are one product over all T·B rows at the end.

    Args:
        save: what the forward pass keeps. "gates", the default: everything that the backward pass needs, the fastest;
            per step and row H numbers (Elman), 5 H (GRU), 6 H (LSTM) where the cell's kernel runs. "states": h only,
            and c; the gates are computed again, in large products, with H (GRU) and 2 H (LSTM) kept.

    Cost: about twice the forward pass in time, and for "states" a third of it more; O(T·B·H) in memory.
    """

    save: Save = "gates"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.save not in get_args(Save):
            raise ArgumentError(f"save is {self.save!r}; it must be 'gates' (fastest) or 'states' (least memory)")

    def check(self, cell: Cell) -> None:
        """Every cell is served."""

    def forward(
        self, cell: Cell, parameters: Parameters, sequence: Sequence, keep: bool
    ) -> tuple[Float[Tensor, "time batch hidden"], State, tuple[Tensor, ...]]:
        return self._recurrence(cell, sequence).forward(cell, parameters, sequence, self.save if keep else None)

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
        recurrence = self._recurrence(cell, sequence)
        return recurrence.backward(cell, parameters, sequence, trace, d_outputs, d_final, self.save, needs_x, norms)

    @staticmethod
    def _recurrence(cell: Cell, sequence: Sequence) -> Kernel:
        """The cell's kernel, or the loop: for what the kernel does not serve, and under create_graph.

        The kernel must stand in the cell's own class: one inherited by a subclass with another step would be wrong.
        """
        kernel = vars(type(cell)).get("kernel")
        return LOOP if kernel is None or torch.is_grad_enabled() or not kernel.serves(cell, sequence) else kernel


class Loop(Kernel):
    """The recurrence written out in PyTorch, for every cell, dtype and device; what the kernels are tested against."""

    def serves(self, cell: Cell, sequence: Sequence) -> bool:
        return True

    def forward(
        self, cell: Cell, parameters: Parameters, sequence: Sequence, save: Save | None
    ) -> tuple[Tensor, State, tuple[Tensor, ...]]:
        state = tuple(member.clone() for member in sequence.initial) if not len(sequence.x) else sequence.initial
        outputs: list[Tensor] = []
        trace: list[Tensor] = []
        for t, projected in enumerate(cell.project(parameters, sequence.x).unbind(0)):
            entering = sequence.entering(t, state)
            advanced, residuals = cell.advance(parameters, projected, entering)
            state = sequence.leaving(t, advanced, entering)
            outputs.append(sequence.output(t, state))
            if save is not None:
                trace += (*entering, *(residuals if save == "gates" else ()))
        return stack_steps(outputs, sequence.x, state[0].shape[-1]), state, tuple(trace)

    def backward(
        self,
        cell: Cell,
        parameters: Parameters,
        sequence: Sequence,
        trace: tuple[Tensor, ...],
        d_outputs: Tensor,
        d_final: State,
        save: Save,
        needs_x: bool,
        norms: StepNorms,
    ) -> Gradients:
        steps, members = len(sequence.x), len(d_final)
        if not steps:
            return no_steps(parameters, sequence, d_final)
        by_step = split_by_step(trace, steps)
        if save == "states":
            projected = cell.project(parameters, sequence.x)
            by_step = [(*s, *cell.advance(parameters, a, s)[1]) for a, s in zip(projected, by_step, strict=True)]
        errors: list[tuple[Tensor, ...]] = []
        carried = d_final
        d_reset: State | None = None
        for t in reversed(range(steps)):
            padding, resets = sequence.padding_at[t], sequence.resets_at[t]
            total = (carried[0] + blank(padding, d_outputs[t]), *carried[1:])  # [MR] (8); (2) at t = T
            total = norms.pass_on(t, total, padding)
            active = tuple(blank(padding, member) for member in total)
            step_errors, d_entering = cell.pull_back(parameters, by_step[t][members:], active)
            errors.append(step_errors)
            d_entering = choose(padding, total, d_entering)
            if resets is not None:
                to_reset = tuple(blank(~resets, member) for member in d_entering)
                d_reset = to_reset if d_reset is None else tuple(map(torch.add, d_reset, to_reset))
            carried = tuple(blank(resets, member) for member in d_entering)
        errors.reverse()
        entering = [step[:members] for step in by_step]
        d_parameters, d_x = cell.accumulate(
            parameters,
            sequence.rows(sequence.x),
            _stacked_rows(sequence, entering),
            _stacked_rows(sequence, errors),
            needs_x,
        )
        return Gradients(d_parameters, None if d_x is None else sequence.from_rows(d_x), carried, d_reset)


LOOP = Loop()


def split_by_step(trace: tuple[Tensor, ...], steps: int) -> list[tuple[Tensor, ...]]:
    """The loop's trace, step by step: the state that entered, then the residuals."""
    width = len(trace) // steps
    return [trace[t * width : (t + 1) * width] for t in range(steps)]


def _stacked_rows(sequence: Sequence, steps: list[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """Each member's rows [N, …]; members that are the same tensors (∂L/∂a^x and ∂L/∂a^h, often) are stacked once."""
    rows: dict[tuple[int, ...], Tensor] = {}
    columns = list(zip(*steps, strict=True))
    keys = [tuple(map(id, column)) for column in columns]
    for key, column in zip(keys, columns, strict=True):
        if key not in rows:
            rows[key] = sequence.rows(torch.stack(column))
    return tuple(rows[key] for key in keys)


def no_steps(parameters: Parameters, sequence: Sequence, d_final: State) -> Gradients:
    """The gradients of no steps at all: the final state is the initial one."""
    zeros = {name: torch.zeros_like(value) for name, value in parameters.items()}
    return Gradients(zeros, torch.zeros_like(sequence.x), d_final, None)
