"""State and inputs before a chunk, for steps that run again."""

from typing import NamedTuple

import torch
from torch import Tensor

from throughtime.runs.model import CarriedState, SequenceModel, detached


class Preceding(NamedTuple):
    """State between two chunks, and the steps to run again.

    Attributes:
        inputs: [steps, batch, …], those before the next chunk, which are run again with it; None: none.
        state: the state before them, without its history; None: zero.
        resets: [steps, batch], where among these steps a series begins; None: nowhere.
    """

    inputs: Tensor | None = None
    state: CarriedState = None
    resets: Tensor | None = None

    @property
    def steps(self) -> int:
        """Number of steps that are run again."""
        return 0 if self.inputs is None else len(self.inputs)

    def before(self, inputs: Tensor, resets: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Return the steps to run again followed by `inputs`, and their resets."""
        if self.inputs is None:
            return inputs, resets
        together = torch.cat((self.inputs, inputs))
        if self.resets is None and resets is None:
            return together, None
        parts = ((self.resets, self.inputs), (resets, inputs))
        return together, torch.cat([_flags(flags, steps) for flags, steps in parts])

    def if_finite(self) -> "Preceding":
        """Replace a non-finite state by zero."""
        members = () if self.state is None else (self.state,) if isinstance(self.state, Tensor) else self.state
        return self if all(bool(torch.isfinite(member).all()) for member in members) else self._replace(state=None)

    def to(self, device: torch.device) -> "Preceding":
        """Return the same on a device."""
        inputs, resets = (None if tensor is None else tensor.to(device) for tensor in (self.inputs, self.resets))
        if self.state is None or isinstance(self.state, Tensor):
            return Preceding(inputs, None if self.state is None else self.state.to(device), resets)
        return Preceding(inputs, tuple(member.to(device) for member in self.state), resets)


@torch.no_grad()
def advanced(
    model: SequenceModel, preceding: Preceding, inputs: Tensor, keep: int, resets: Tensor | None = None
) -> Preceding:
    """Advance past `inputs` [steps, batch, …], keeping the last `keep` steps to run again."""
    inputs, resets = preceding.before(inputs, resets)
    passed = max(0, len(inputs) - keep)
    state, early = preceding.state, None if resets is None else resets[:passed]
    if passed:
        state = model(inputs[:passed], state, skip=passed, resets=early)[1]
    late = None if resets is None else resets[passed:]
    return Preceding(inputs[passed:], detached(state), late) if keep else Preceding(None, detached(state))


def _flags(resets: Tensor | None, steps: Tensor) -> Tensor:
    return torch.zeros(steps.shape[:2], dtype=torch.bool, device=steps.device) if resets is None else resets
