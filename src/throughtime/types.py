"""The vocabulary every room shares: what a state is, what parameters are, what gradients are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from torch import Tensor

State: TypeAlias = tuple[Tensor, ...]
"""A state in the order of the cell's `state_sizes`: (h,) or (h, c). At one step each is [batch, size]."""

Parameters: TypeAlias = Mapping[str, Tensor]
"""A cell's parameters by name, for example `weight_hh` of shape [gates * hidden, hidden]."""


Save: TypeAlias = Literal["gates", "states"]
"""What a forward pass keeps for the backward pass: all that it needs, or the states, from which the rest follows."""


@dataclass(frozen=True)
class Gradients:
    """The derivatives of L: what a gradient method, and a kernel's backward pass, return.

    Attributes:
        parameters: ∂L/∂θ by name.
        x: ∂L/∂x [T, B, I], zero in padding; None where it was not asked for.
        initial: ∂L/∂(initial state), each member [B, size].
        reset_state: ∂L/∂(the state that resets return to), likewise; None where no step was reset.
    """

    parameters: dict[str, Tensor]
    x: Tensor | None
    initial: State
    reset_state: State | None
