"""Real-time recurrent learning: exact gradients by the forward recursion."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from throughtime.gradients.forward import ForwardMethod
from throughtime.gradients.influence import DenseInfluence, DenseStart, Influence, StartInfluence, whole_jacobian
from throughtime.gradients.systems import CellSystem, System


@dataclass(frozen=True)
class RTRL(ForwardMethod):
    """Real-time recurrent learning ([Y] (1)): exact, and known at every step without looking back.

    A_t = B_t + J_t A_{t-1} with A_t = ∂s_t/∂θ in full. B_t is nonzero only at the weights' own units, so B_t is added
    to these entries and never written out; the product is a matrix product for each row.

    Cost: O(T·B·S²·P) time and O(B·S·P) memory, held twice, whatever T is: about S² / 3 times BPTT's time. For small
    layers that learn online. To train from files use BPTT, or CheckpointedBPTT where memory is short.

    Williams & Zipser 1989; here for any cell.
    """

    def is_dense(self, system: System) -> bool:
        return True

    def influence(self, system: System, batch: int) -> Influence:
        return DenseInfluence(system, batch, whole_jacobian)

    def start_influence(self, system: CellSystem, like: Float[Tensor, "batch member"]) -> StartInfluence:
        return DenseStart(system, like, whole_jacobian)
