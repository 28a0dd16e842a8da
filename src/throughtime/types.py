"""The vocabulary every room shares: what a state is, what parameters are."""

from collections.abc import Mapping
from typing import TypeAlias

from torch import Tensor

State: TypeAlias = tuple[Tensor, ...]
"""A state in the order of the cell's `state_sizes`: (h,) or (h, c). At one step each is [batch, size]."""

Parameters: TypeAlias = Mapping[str, Tensor]
"""A cell's parameters by name, for example `weight_hh` of shape [gates * hidden, hidden]."""
