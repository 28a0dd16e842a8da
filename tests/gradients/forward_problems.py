"""Sequences for the forward methods, and the gradients of a loss on every output and on the final state."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from examples_of import INPUT, parameters_of, states_of
from torch import Tensor

from throughtime.cells import Cell, Recurrence
from throughtime.gradients import GradientMethod, run
from throughtime.sequences import Sequence

LENGTHS = (7, 0, 1, 4)


@dataclass(frozen=True)
class Problem:
    """One batch of sequences for one cell, float64."""

    cell: Cell
    parameters: Mapping[str, Tensor]
    sequence: Sequence
    weights: tuple[Tensor, ...]

    @property
    def wanted(self) -> dict[str, Tensor]:
        """What gradients are taken of, by name."""
        sequence = self.sequence
        wanted = {"x": sequence.x, **self.parameters}
        wanted |= {f"initial_{i}": member for i, member in enumerate(sequence.initial)}
        if sequence.resets is not None:
            wanted |= {f"reset_{i}": member for i, member in enumerate(sequence.reset_state)}
        return wanted

    def gradients(self, method: GradientMethod) -> dict[str, Tensor]:
        """By name."""
        h, final = run(method, Recurrence(self.cell, self.parameters, self.sequence))
        loss = sum((w * one).sum() for w, one in zip(self.weights, (h, *final), strict=True))
        found = torch.autograd.grad(loss, list(self.wanted.values()), materialize_grads=True)
        return dict(zip(self.wanted, found, strict=True))


def problem(cell: Cell, masks: str = "", steps: int = 7, replaced: Mapping[str, Tensor] | None = None) -> Problem:
    """With lengths and resets where `masks` names them; `replaced` has parameters that are not to be drawn."""
    parameters = parameters_of(cell) | {name: value.requires_grad_() for name, value in (replaced or {}).items()}
    rows = len(LENGTHS)
    x = torch.randn(steps, rows, INPUT, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor(LENGTHS).clamp(max=steps) if "lengths" in masks else None
    resets = None
    if "resets" in masks:
        resets = torch.zeros(steps, rows, dtype=torch.bool)
        resets[0, 3] = resets[2, 0] = resets[steps - 2, 0] = resets[3, 3] = True
    sequence = Sequence(x, states_of(cell, rows), states_of(cell, rows), lengths, resets)
    output = next(iter(cell.state_sizes.values()))
    weights = (
        torch.randn(steps, rows, output, dtype=torch.float64),
        *(torch.randn_like(member) for member in sequence.initial),
    )
    return Problem(cell, parameters, sequence, weights)


def away(ours: Mapping[str, Tensor], exact: Mapping[str, Tensor]) -> dict[str, float]:
    """‖ours − exact‖ / ‖exact‖ by name."""
    return {name: float((ours[name] - g).norm() / g.norm().clamp(min=1e-300)) for name, g in exact.items()}


def of_weights(by_name: Mapping[str, Tensor], parameters: Mapping[str, Tensor]) -> Tensor:
    """The gradients of the parameters as one vector."""
    return torch.cat([by_name[name].flatten() for name in parameters])
