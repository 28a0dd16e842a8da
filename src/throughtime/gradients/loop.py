"""The recurrence step by step, in PyTorch's own operations: for every cell, dtype and device."""

import torch
from torch import Tensor

from throughtime.cells.base import Cell
from throughtime.gradients.norms import StepNorms
from throughtime.gradients.sequence import Sequence, blank, choose, stack_steps
from throughtime.kernels.base import Kernel
from throughtime.types import Gradients, Parameters, Save, State


class Loop(Kernel):
    """The recurrence written out; what the kernels are tested against.

    `forward` is differentiable by PyTorch itself, forward and backward, and any transform of torch.func applies to it.
    """

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
            padding, resets = sequence.padding_at(t), sequence.resets_at(t)
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

    def entering(self, cell: Cell, sequence: Sequence, trace: tuple[Tensor, ...]) -> State:
        return tuple(map(torch.stack, zip(*split_by_step(trace, len(sequence.x)), strict=True)))


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
