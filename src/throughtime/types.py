"""Types that all modules share: states, parameters and gradients."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from torch import Tensor

State: TypeAlias = tuple[Tensor, ...]
"""State in the order of the cell's `state_sizes`: (h,) or (h, c).

At a single step each member is [batch, size].
"""

Parameters: TypeAlias = Mapping[str, Tensor]
"""Parameters of a cell by name, such as `weight_hh` of shape [gates * hidden, hidden]."""

Save: TypeAlias = Literal["gates", "states"]
"""Tensors that a forward pass keeps for the backward pass.

"gates" stands for all that the backward pass needs, "states" for the states, from which the rest is computed again.
"""


@dataclass(frozen=True)
class Gradients:
    """Derivatives of L, as gradient methods and runners return them.

    Attributes:
        parameters: ∂L/∂θ by name.
        x: ∂L/∂x [T, B, I], zero in padding; None where nobody asked for ∂L/∂x.
        initial: ∂L/∂(initial state), each member [B, size].
        reset_state: ∂L/∂(the state that resets return to), each member [B, size]; None where no step was reset.
    """

    parameters: dict[str, Tensor]
    x: Tensor | None
    initial: State
    reset_state: State | None
