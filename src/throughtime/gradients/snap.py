"""The sparse n-step approximation of real-time recurrent learning."""

from dataclasses import dataclass
from typing import TypeGuard

import torch
from jaxtyping import Float
from torch import Tensor

from throughtime.cells.affine import AffineCell
from throughtime.cells.base import check_size
from throughtime.gradients.forward import ForwardMethod
from throughtime.gradients.influence import DenseInfluence, DenseStart, Influence, StartInfluence, whole_jacobian
from throughtime.gradients.per_unit import UnitInfluence, UnitStart
from throughtime.gradients.systems import CellStep, CellSystem, System

PROBES = 16
"""Random points at which an entry must be zero to count as one that is always zero."""


@dataclass(frozen=True)
class SnAp(ForwardMethod):
    """SnAp-n: RTRL that keeps only the entries of A_t that can be nonzero n steps after a weight first acts. Biased.

    A_t = (B_t + J_t A_{t-1}) ⊙ M. With order 1, M is where B_t is: each weight's influence on its own unit, which
    a dense J_t carries by its diagonal. With dense recurrent weights every unit is reached within two steps, so
    that any higher order is RTRL exactly; between the two lie only networks whose W_hh has zeros. Those are read
    off the parameters when a sequence begins (or an online learner does): a weight that is exactly zero then counts as
    one that is absent.

    Args:
        order: n, at least 1.

    Bias: the paths longer than n - 1 connections. None where no weight reaches further: order large, or T = 1; and with
    order 1 where units are not connected.

    Cost: with order 1, RNN, LSTM and GRU, without a projection: O(T·B·P) time and O(B·P) memory. Else that of RTRL.

    Menick et al. 2021, section 3.
    """

    order: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_size("order", self.order, least=1)

    @property
    def exact(self) -> bool:
        return False

    def influence(self, system: System, batch: int) -> Influence:
        if self._by_unit(system):
            return UnitInfluence(system, batch, _own)
        return DenseInfluence(system, batch, whole_jacobian, self._mask(system))

    def start_influence(self, system: CellSystem, like: Float[Tensor, "batch member"]) -> StartInfluence:
        if self._by_unit(system):
            return UnitStart(system, like, _own)
        return DenseStart(system, like, whole_jacobian)

    def _by_unit(self, system: System) -> TypeGuard[CellSystem]:
        return self.order == 1 and isinstance(system, CellSystem) and system.has_units

    def _mask(self, system: System) -> Float[Tensor, "size p"] | None:
        """M: where B_t, J B_t, … J^{n-1} B_t can be nonzero; None if everywhere."""
        jacobian, immediate = _patterns(system)
        for _ in range(self.order - 1):
            reached = ((jacobian @ immediate + immediate) > 0).to(immediate)
            if torch.equal(reached, immediate):
                break
            immediate = reached
        return None if bool(immediate.all()) else immediate


def _own(cell: AffineCell, step: CellStep) -> Tensor:
    return cell.unit_jacobian(step.values, step.x, step.entering, recurrent=True)


def _patterns(system: System) -> tuple[Float[Tensor, "size size"], Float[Tensor, "size p"]]:
    """1 where J_t, and B_t, are not zero at all of some random points."""
    generator = torch.Generator().manual_seed(0)
    influence = DenseInfluence(system, 1, whole_jacobian)
    jacobian = immediate = None
    for _ in range(PROBES):
        step = system.probe(1, generator)
        influence.forget(torch.ones(1, 1, dtype=torch.bool, device=step.entering[0].device))
        influence.advance(step)
        j, b = (step.jacobian()[0] != 0), influence.tensors()["influence"][0] != 0
        jacobian, immediate = (j, b) if jacobian is None or immediate is None else (jacobian | j, immediate | b)
    assert jacobian is not None and immediate is not None
    dtype = next(iter(system.parameters.values())).dtype
    return jacobian.to(dtype), immediate.to(dtype)
