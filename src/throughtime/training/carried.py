"""What is carried from one chunk to the next: the state, and steps that the next chunk runs again before its own."""

from typing import NamedTuple

import torch
from torch import Tensor

from throughtime.training.model import CarriedState, SequenceModel, detached


class Carried(NamedTuple):
    """Where a stream stands.

    Attributes:
        inputs: symbol numbers [steps, batch] that come before the next chunk and are run again with it; None: none.
        state: the state before them, without its history; None: zero.
    """

    inputs: Tensor | None = None
    state: CarriedState = None

    @property
    def steps(self) -> int:
        """How many steps are run again."""
        return 0 if self.inputs is None else len(self.inputs)

    def before(self, inputs: Tensor) -> Tensor:
        """The steps that are run again, followed by `inputs`."""
        return inputs if self.inputs is None else torch.cat((self.inputs, inputs))

    def if_finite(self) -> "Carried":
        """The same, but with the zero state if anything in the state is not finite."""
        members = () if self.state is None else (self.state,) if isinstance(self.state, Tensor) else self.state
        return self if all(bool(torch.isfinite(one).all()) for one in members) else Carried(self.inputs)

    def to(self, device: torch.device) -> "Carried":
        """The same on a device."""
        inputs = None if self.inputs is None else self.inputs.to(device)
        if self.state is None or isinstance(self.state, Tensor):
            return Carried(inputs, None if self.state is None else self.state.to(device))
        return Carried(inputs, tuple(member.to(device) for member in self.state))


@torch.no_grad()
def advanced(model: SequenceModel, carried: Carried, inputs: Tensor, keep: int) -> Carried:
    """Move on past `inputs` [steps, batch], but for the last `keep` steps, which are to be run again."""
    inputs = carried.before(inputs)
    passed = max(0, len(inputs) - keep)
    state = model(inputs[:passed], carried.state, skip=passed)[1] if passed else carried.state
    return Carried(inputs[passed:] if keep else None, detached(state))
