"""Random feedback local online learning (RFLO): traces that leak at a fixed rate."""

import math
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from throughtime.cells.affine import AffineCell
from throughtime.cells.base import Cell
from throughtime.cells.elman import ElmanCell
from throughtime.cells.function import FunctionCell
from throughtime.checks import is_real, plain
from throughtime.errors import ArgumentError, UnsupportedError
from throughtime.gradients.forward import ForwardMethod
from throughtime.gradients.influence import DenseInfluence, DenseStart, Influence, StartInfluence
from throughtime.gradients.per_unit import UnitInfluence, UnitStart
from throughtime.gradients.systems import CellStep, CellSystem, Step, System


@dataclass(frozen=True)
class RFLO(ForwardMethod):
    """Random feedback local online learning (RFLO). Biased.

    A_t = B_t + leak · A_{t-1}: of J_t only the leak of the units stays, the recurrent weights are left out. RFLO is
    meant for rate networks h_t = leak · h_{t-1} + (1 - leak) φ(…), for which `leak` is 1 - 1/τ. In the paper
    the errors also come back through fixed random weights: put a `throughtime.FeedbackLinear` on top for that.

    Args:
        leak: share of its state that a unit keeps; 0, the default, for RNN, whose units keep nothing.

    Bias: every path through a recurrent weight is missing; with leak 0 that leaves TruncatedBPTT(1). Exact where each
    unit's only path through time is its leak, or T = 1.

    Cost: O(T·B·P) time and O(B·P) memory for RNN; B·S·P for a function cell. Cells with one member of the state, and
    no gates: EProp is the same idea for those.

    Murray 2019, eq. (6) and (7).
    """

    leak: float = 0.0

    local: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not is_real(self.leak) or not math.isfinite(self.leak):
            raise ArgumentError(
                "leak", f"is {self.leak!r}", "it must be the finite share of its state that a unit keeps"
            )
        object.__setattr__(self, "leak", plain(self.leak))

    @property
    def exact(self) -> bool:
        return False

    def check(self, cell: Cell) -> None:
        super().check(cell)
        if not isinstance(cell, ElmanCell | FunctionCell) or len(cell.state_sizes) > 1:
            raise UnsupportedError(
                f"RFLO cannot serve a {type(cell).__name__} with the state {dict(cell.state_sizes)}: its units have no "
                "fixed leak; use EProp"
            )

    def past_gradient(
        self, step: Step, direct: Float[Tensor, "batch size"], exact: Float[Tensor, "batch size"]
    ) -> Float[Tensor, "batch size"]:
        return self.leak * direct

    def is_dense(self, system: System) -> bool:
        return not system.has_units

    def influence(self, system: System, batch: int) -> Influence:
        if self.is_dense(system):
            return DenseInfluence(system, batch, self._leak_as_diagonal)
        return UnitInfluence(system, batch, self._leak_of_units)

    def start_influence(self, system: CellSystem, like: Float[Tensor, "batch member"]) -> StartInfluence:
        if self.is_dense(system):
            return DenseStart(system, like, self._leak_as_diagonal)
        return UnitStart(system, like, self._leak_of_units)

    def _leak_of_units(self, cell: AffineCell, step: CellStep) -> Tensor:
        """Return the leak as a `UnitAction`, of a cell with a single member."""
        return step.entering[0].new_full((len(step.x), 1, 1, cell.hidden_size), self.leak)

    def _leak_as_diagonal(self, step: Step) -> Tensor:
        """Return the leak as a diagonal `Action`, [batch, S]."""
        state = step.entering[0]
        return state.new_full(state.shape, self.leak)
