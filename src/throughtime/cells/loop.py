"""Loop over time in PyTorch's operations, for every cell, dtype and device."""

from dataclasses import dataclass

import torch
from torch import Tensor

from throughtime.cells.base import Cell
from throughtime.sequences.norms import StepNorms
from throughtime.sequences.runner import Cotangents, Pass, Runner, Trace
from throughtime.sequences.sequence import Sequence, blank, choose, stack_steps
from throughtime.types import Gradients, Parameters, Save, State


@dataclass(frozen=True)
class Loop(Runner):
    """Runner that loops over the steps of a plain sequence.

    Kernels are tested against the loop. PyTorch itself can differentiate `forward`, in forward and in reverse mode, and
    any transform of torch.func applies to `forward`. The trace holds, step by step, the state that entered, and with
    `save="gates"` the residuals.
    """

    cell: Cell

    def serves(self, parameters: Parameters, sequence: Sequence) -> bool:
        return sequence.is_plain

    def forward(self, parameters: Parameters, sequence: Sequence, save: Save | None) -> Pass:
        cell = self.cell
        # Copied where no step follows: the final state must not be the caller's tensor.
        state = tuple(member.clone() for member in sequence.initial) if not sequence.shape[0] else sequence.initial
        outputs: list[Tensor] = []
        kept: list[Tensor] = []
        for t, projected in enumerate(cell.project(parameters, sequence.x).unbind(0)):
            entering = sequence.entering(t, state)
            advanced, residuals = cell.advance(parameters, projected, entering)
            state = sequence.leaving(t, advanced, entering)
            outputs.append(sequence.output(t, state))
            if save is not None:
                kept += (*entering, *(residuals if save == "gates" else ()))
        return Pass(stack_steps(outputs, sequence.x, state[0].shape[-1]), state, Trace(tuple(kept), save))

    def backward(
        self, parameters: Parameters, sequence: Sequence, trace: Trace, cotangents: Cotangents, norms: StepNorms
    ) -> Gradients:
        cell, d_outputs, d_final = self.cell, cotangents.outputs, cotangents.final
        steps, members = len(sequence.x), len(d_final)
        if not steps:
            return no_steps(parameters, sequence, d_final)
        by_step = split_by_step(trace, steps)
        if trace.save == "states":
            # Run each step again from the state that entered, and append the residuals that were not kept.
            projected = cell.project(parameters, sequence.x)
            by_step = [(*s, *cell.advance(parameters, a, s)[1]) for a, s in zip(projected, by_step, strict=True)]
        errors: list[tuple[Tensor, ...]] = []
        carried = d_final
        d_reset: State | None = None
        for t in reversed(range(steps)):
            padding, resets = sequence.padding_at(t), sequence.resets_at(t)
            total = (carried[0] + blank(padding, d_outputs[t]), *carried[1:])  # [MR] (8); (2) at t = T
            total = norms.clip(t, total, padding)
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
            cotangents.needs_x,
        )
        return Gradients(d_parameters, None if d_x is None else sequence.from_rows(d_x), carried, d_reset)

    def entering(self, sequence: Sequence, trace: Trace) -> State:
        members = len(sequence.initial)
        by_step = [step[:members] for step in split_by_step(trace, len(sequence.x))]
        return tuple(map(torch.stack, zip(*by_step, strict=True)))


def split_by_step(trace: Trace, steps: int) -> list[tuple[Tensor, ...]]:
    """Split the loop's trace into steps: the state that entered, then the residuals."""
    width = len(trace.tensors) // steps
    return [trace.tensors[t * width : (t + 1) * width] for t in range(steps)]


def _stacked_rows(sequence: Sequence, steps: list[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """Stack each member's rows [N, …].

    Members that consist of the same tensors, often ∂L/∂a^x and ∂L/∂a^h, are stacked once.
    """
    rows: dict[tuple[int, ...], Tensor] = {}
    columns = list(zip(*steps, strict=True))
    keys = [tuple(map(id, column)) for column in columns]
    for key, column in zip(keys, columns, strict=True):
        if key not in rows:
            rows[key] = sequence.rows(torch.stack(column))
    return tuple(rows[key] for key in keys)


def no_steps(parameters: Parameters, sequence: Sequence, d_final: State) -> Gradients:
    """Return the gradients of an empty sequence, whose final state is its initial state."""
    zeros = {name: torch.zeros_like(value) for name, value in parameters.items()}
    return Gradients(zeros, torch.zeros_like(sequence.x), d_final, None)
