"""Influence within a unit: unit j's state by the weights that lead into unit j."""

from collections.abc import Callable, Mapping
from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from throughtime.cells.affine import AffineCell
from throughtime.gradients.influence import Influence, StartInfluence, keep_ended
from throughtime.gradients.systems import CellStep, CellSystem, Step, System

UnitAction = Callable[[AffineCell, CellStep], Tensor]
"""Function that gives the factor of the units' traces in a step.

Factors are [batch, members, members, H], with [b, m, n, j] to member m from member n.
"""


class UnitInfluence(Influence):
    """Influence of each weight on its own unit: [batch, members, *shape] per parameter.

    Cost: O(B·P) memory and time, where all of A would cost S times as much.

    Args:
        system: a system that has units (`System.has_units`).
        batch: number of rows B.
        action: gives the factor in place of the units' own part of J_t.
    """

    def __init__(self, system: System, batch: int, action: UnitAction) -> None:
        self._cell, self._action, members = _cell_of(system), action, len(system.sizes)
        self._now = {name: value.new_zeros(batch, members, *value.shape) for name, value in system.parameters.items()}

    def contract(self, d_state: Float[Tensor, "batch size"]) -> dict[str, Tensor]:
        by_unit = d_state.unflatten(-1, (-1, 1, self._cell.hidden_size))
        # The members' errors are the same for all gates g of a unit j; the gates' rows are then laid side by side.
        return {
            name: torch.einsum("bmgj,bmgj...->gj...", by_unit.expand(-1, -1, self._cell.gates, -1), self._split(value))
            .flatten(0, 1)
            for name, value in self._now.items()
        }  # fmt: skip

    def advance(self, step: Step, ended: Bool[Tensor, "batch 1"] | None = None) -> None:
        at = cast(CellStep, step)
        action, immediate = self._action(self._cell, at), self._cell.unit_immediate(at.values, at.x, at.entering)
        for name, before in self._now.items():
            after = immediate[name].unflatten(2, (self._cell.gates, -1)) + carry_units(action, self._split(before))
            after = after.flatten(2, 3)
            keep_ended(ended, before, after)
            self._now[name] = after

    def forget(self, rows: Bool[Tensor, "batch 1"]) -> None:
        for value in self._now.values():
            value.masked_fill_(rows.view(-1, *[1] * (value.dim() - 1)), 0)

    def tensors(self) -> dict[str, Tensor]:
        return dict(self._now)

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        for name, value in self._now.items():
            value.copy_(tensors[name])

    def _split(self, value: Tensor) -> Tensor:
        """Split the rows by gate: [batch, members, G·H, …] → [batch, members, G, H, …]."""
        return value.unflatten(2, (self._cell.gates, self._cell.hidden_size))


class UnitStart(StartInfluence):
    """Influence ∂s^m_{t-1}[j]/∂(the start)^n[j]: [batch, members m, members n, H]."""

    def __init__(self, system: System, like: Float[Tensor, "batch member"], action: UnitAction) -> None:
        self._cell, self._action, members = _cell_of(system), action, len(system.sizes)
        self._eye = torch.eye(members, dtype=like.dtype, device=like.device)[..., None]
        self._now = like.new_zeros(len(like), members, members, self._cell.hidden_size)

    def contract(self, d_state: Float[Tensor, "batch size"]) -> Float[Tensor, "batch size"]:
        by_unit = d_state.unflatten(-1, (-1, self._cell.hidden_size))
        return torch.einsum("bmj,bmnj->bnj", by_unit, self._now).flatten(1)

    def advance(self, step: Step, ended: Bool[Tensor, "batch 1"] | None = None) -> None:
        after = carry_units(self._action(self._cell, cast(CellStep, step)), self._now)
        keep_ended(ended, self._now, after)
        self._now = after

    def start(self, rows: Bool[Tensor, "batch 1"]) -> None:
        self._now = torch.where(rows[..., None, None], self._eye, self._now)

    def forget(self, rows: Bool[Tensor, "batch 1"]) -> None:
        self._now = self._now.masked_fill(rows[..., None, None], 0)


def _cell_of(system: System) -> AffineCell:
    return cast(AffineCell, cast(CellSystem, system).cell)


def carry_units(action: Tensor, before: Tensor) -> Tensor:
    """Compute Σ_n action[b, m, n, j] before[b, n, g, j, …]."""
    spread = action[:, :, :, None].reshape(*action.shape[:3], 1, action.shape[3], *[1] * (before.dim() - 4))
    if action.shape[1] == 1:
        return spread[:, 0] * before
    return (spread * before[:, None]).sum(dim=2)
