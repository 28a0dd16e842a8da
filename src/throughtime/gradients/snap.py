"""Sparse n-step approximation (SnAp) of real-time recurrent learning."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from throughtime.cells.affine import AffineCell
from throughtime.checks import keep_sizes
from throughtime.gradients.forward import ForwardMethod
from throughtime.gradients.influence import DenseInfluence, DenseStart, Influence, StartInfluence, whole_jacobian
from throughtime.gradients.per_unit import UnitInfluence, UnitStart
from throughtime.gradients.systems import CellStep, CellSystem, System

PROBES = 16
"""Number of random points; an entry that is zero at every point counts as absent."""


@dataclass(frozen=True)
class SnAp(ForwardMethod):
    """Sparse n-step approximation (SnAp-n) of RTRL. Biased.

    Only the entries of A_t that can be nonzero n steps after a weight first acts are kept: A_t = (B_t + J_t A_{t-1}) ⊙
    M. With order 1, M is where B_t is nonzero: each weight's influence on its own unit (for an LSTM without a
    projection on both members of the unit, h and c), which a dense J_t carries by its diagonal. With dense recurrent
    weights every unit is reached within two steps, so any higher order is exactly RTRL; orders in between only matter
    for networks whose W_hh has zeros. Zeros are read off the parameters when a sequence begins (or an online learner
    does): a weight that is exactly zero then counts as absent.

    Args:
        order: n, at least 1.

    Bias: the paths longer than n - 1 connections, plus a connection at the step of the loss, which is exact here (in
    the paper it is not). No bias where no weight reaches further: order large, T = 1 (for the weights 2), or with order
    1 units that are not connected. ∂h_0 is exact where J_t is formed in full anyway, and else cut like the rest.

    Cost: with order 1, RNN, LSTM and GRU, without a projection: O(T·B·P) time and O(B·P) memory. Else the cost of RTRL.

    Menick et al. 2021, section 3.
    """

    order: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        keep_sizes(self, order=1)

    @property
    def exact(self) -> bool:
        return False

    def is_dense(self, system: System) -> bool:
        return self.order > 1 or not system.has_units

    def influence(self, system: System, batch: int) -> Influence:
        if self.is_dense(system):
            return DenseInfluence(system, batch, whole_jacobian, self._mask(system))
        return UnitInfluence(system, batch, _within_units)

    def start_influence(self, system: CellSystem, like: Float[Tensor, "batch member"]) -> StartInfluence:
        return (
            DenseStart(system, like, whole_jacobian)
            if self.is_dense(system)
            else UnitStart(system, like, _within_units)
        )

    def _mask(self, system: System) -> Float[Tensor, "size p"] | None:
        """Return M, 1 where B_t, J B_t, … J^{n-1} B_t can be nonzero; None if everywhere."""
        jacobian, immediate = _patterns(system)
        for _ in range(self.order - 1):
            reached = ((jacobian @ immediate + immediate) > 0).to(immediate)
            if torch.equal(reached, immediate):
                break
            immediate = reached
        return None if bool(immediate.all()) else immediate


def _within_units(cell: AffineCell, step: CellStep) -> Tensor:
    """Return the diagonals of the blocks of J_t, [batch, members, members, H]."""
    return cell.unit_jacobian(step.values, step.x, step.entering, recurrent=True)


def _patterns(system: System) -> tuple[Float[Tensor, "size size"], Float[Tensor, "size p"]]:
    """Return 1 for entries of J_t and B_t that are nonzero at any random point."""
    generator, size = torch.Generator().manual_seed(0), sum(system.sizes)
    total = {name: value.new_zeros(1, size, *value.shape) for name, value in system.parameters.items()}
    jacobian = torch.zeros(size, size, dtype=torch.bool, device=next(iter(total.values())).device)
    for _ in range(PROBES):
        step = system.probe(1, generator)
        step.add_immediate(total)  # the sum of random numbers is zero only where each number is zero
        jacobian |= step.jacobian()[0] != 0
    immediate = torch.cat([value[0].flatten(1) for value in total.values()], dim=1)
    return jacobian.to(immediate), (immediate != 0).to(immediate)
