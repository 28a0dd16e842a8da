"""Eligibility propagation (e-prop): traces that stay within a unit."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from throughtime.cells.affine import AffineCell
from throughtime.cells.base import Cell
from throughtime.errors import UnsupportedError
from throughtime.gradients.forward import ForwardMethod
from throughtime.gradients.influence import DenseInfluence, DenseStart, Influence, StartInfluence
from throughtime.gradients.per_unit import UnitInfluence, UnitStart
from throughtime.gradients.systems import CellStep, CellSystem, Step, System


@dataclass(frozen=True)
class EProp(ForwardMethod):
    """Eligibility propagation (e-prop): traces past the recurrent weights. Biased.

    Only the influence that reaches a unit's state through the unit's own old state, without the recurrent weights, is
    kept. For the affine cells A_t = B_t + D^s_t A_{t-1}, where D^s is J_t without the paths through W_hh: nothing for
    Elman, z for the GRU, the LSTM's c through its forget gate. For a function cell with one member D^s is the diagonal
    of J_t.

    The learning signal is the exact ∂L_t/∂h_t ("symmetric e-prop"); for a fixed random signal put a
    `throughtime.FeedbackLinear` on top.

    Bias: every path from unit to unit in time is missing. Exact without such paths: W_hh = 0, or T = 1.

    Cost: O(T·B·P) time and O(B·P) memory for RNN, LSTM, GRU; B·S·P for a function cell. Not with a projection.

    Bellec et al. 2020, eq. (4) and (14).
    """

    local: ClassVar[bool] = True

    @property
    def exact(self) -> bool:
        return False

    def check(self, cell: Cell) -> None:
        super().check(cell)
        affine = isinstance(cell, AffineCell)
        if affine and cell.proj_size:
            raise UnsupportedError(
                f"EProp cannot serve a cell with proj_size = {cell.proj_size}: its outputs are mixtures of units, so "
                "no trace stays within one; use proj_size=0, or SnAp"
            )
        if not affine and len(cell.state_sizes) > 1:
            raise UnsupportedError(
                f"EProp cannot serve a function cell with the state {dict(cell.state_sizes)}: which of its members "
                "belong to one unit is not known; use one member, or SnAp"
            )

    def past_gradient(
        self, step: Step, direct: Float[Tensor, "batch size"], exact: Float[Tensor, "batch size"]
    ) -> Float[Tensor, "batch size"]:
        if isinstance(step, CellStep) and isinstance(step.cell, AffineCell):
            units = direct.unflatten(-1, (-1, step.cell.hidden_size))
            return torch.einsum("bmnj,bmj->bnj", _past_recurrent_weights(step.cell, step), units).flatten(1)
        return _diagonal(step) * direct

    def is_dense(self, system: System) -> bool:
        return not system.has_units

    def influence(self, system: System, batch: int) -> Influence:
        if self.is_dense(system):
            return DenseInfluence(system, batch, _diagonal)
        return UnitInfluence(system, batch, _past_recurrent_weights)

    def start_influence(self, system: CellSystem, like: Float[Tensor, "batch member"]) -> StartInfluence:
        return (
            DenseStart(system, like, _diagonal)
            if self.is_dense(system)
            else UnitStart(system, like, _past_recurrent_weights)
        )


def _past_recurrent_weights(cell: AffineCell, step: CellStep) -> Tensor:
    """Return D^s_t by unit, [batch, members, members, H]."""
    return cell.unit_jacobian(step.values, step.x, step.entering, recurrent=False)


def _diagonal(step: Step) -> Tensor:
    """Return the diagonal of J_t, [batch, S]."""
    return torch.diagonal(step.jacobian(), dim1=-2, dim2=-1)
