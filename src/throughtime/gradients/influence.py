"""Influence A_t = ∂s_t/∂θ, exact or approximate, carried forwards in time."""

import math
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from throughtime.errors import UnsupportedError
from throughtime.gradients.systems import Step, System
from throughtime.sequences.sequence import blank


class Influence(ABC):
    """Influence A_{t-1} of the weights before step t; zero at first.

    A forward method gets the gradient of the loss at step t in two parts ([Y] (1)): ∂θ = B_tᵀ g_t + A_{t-1}ᵀ J_tᵀ g_t.
    The first part is an ordinary backward pass through a step, which also gives d = J_tᵀ g_t = ∂L_t/∂s_{t-1}; the
    second part is `contract(d)`. Then `advance` takes A_{t-1} to A_t. Rows of the batch meet only in `contract`'s sum.
    """

    @abstractmethod
    def contract(self, d_state: Float[Tensor, "batch size"]) -> dict[str, Tensor]:
        """Compute Σ_b A_{t-1}ᵀ d by parameter."""

    @abstractmethod
    def advance(self, step: Step, ended: Bool[Tensor, "batch 1"] | None = None) -> None:
        """Advance to A_t = B_t + J_t A_{t-1}, or the method's approximation.

        Rows in `ended` take no step.
        """

    @abstractmethod
    def forget(self, rows: Bool[Tensor, "batch 1"]) -> None:
        """Set the influence to zero for rows whose state starts anew."""

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors to save for `restore`, by name."""

    @abstractmethod
    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore the tensors of an influence of the same system and batch."""


class StartInfluence(ABC):
    """Influence ∂s_{t-1}/∂(the state that a row started from).

    The influence is carried forwards by the same rule as that of the weights.
    """

    @abstractmethod
    def contract(self, d_state: Float[Tensor, "batch size"]) -> Float[Tensor, "batch size"]:
        """Compute ∂L_t/∂(the start) from ∂L_t/∂s_{t-1}, row by row."""

    @abstractmethod
    def advance(self, step: Step, ended: Bool[Tensor, "batch 1"] | None = None) -> None:
        """Advance by step t; rows in `ended` take no step."""

    @abstractmethod
    def start(self, rows: Bool[Tensor, "batch 1"]) -> None:
        """Make the present state the start of rows."""

    @abstractmethod
    def forget(self, rows: Bool[Tensor, "batch 1"]) -> None:
        """Set the influence to zero for rows that were reset since their start."""


Action = Callable[[Step], Tensor]
"""Function that gives the factor of an influence in a step.

Factors are matrices [batch, S, S], or diagonals [batch, S].
"""


def whole_jacobian(step: Step) -> Float[Tensor, "batch size size"]:
    """Return the exact factor J_t."""
    return step.jacobian()


class DenseInfluence(Influence):
    """Influence with all entries: [batch, S, P].

    Args:
        system: the recurrence.
        batch: number of rows B.
        action: gives the factor in place of J_t.
        mask: 1 for the entries [S, P] that are kept, 0 for entries that are set to zero after each step; None: all are
            kept.

    Raises:
        UnsupportedError: the influence does not fit in memory.
    """

    def __init__(self, system: System, batch: int, action: Action, mask: Float[Tensor, "size p"] | None = None) -> None:
        check_room(system, batch)
        like = next(iter(system.parameters.values()))
        self._shapes = {name: value.shape for name, value in system.parameters.items()}
        shape = (batch, sum(system.sizes), sum(map(math.prod, self._shapes.values())))
        self._action, self._mask = action, mask
        self._now, self._next = like.new_zeros(shape), like.new_zeros(shape)

    def contract(self, d_state: Float[Tensor, "batch size"]) -> dict[str, Tensor]:
        total = d_state.reshape(1, -1) @ self._now.flatten(0, 1)
        return {name: value[0] for name, value in self._by_name(total).items()}

    def advance(self, step: Step, ended: Bool[Tensor, "batch 1"] | None = None) -> None:
        carry(self._action(step), self._now, self._next)
        step.add_immediate(self._by_name(self._next))
        if self._mask is not None:
            self._next.mul_(self._mask)
        keep_ended(ended, self._now, self._next)
        self._now, self._next = self._next, self._now

    def forget(self, rows: Bool[Tensor, "batch 1"]) -> None:
        self._now.masked_fill_(rows[..., None], 0)

    def tensors(self) -> dict[str, Tensor]:
        return {"influence": self._now} | ({} if self._mask is None else {"mask": self._mask})

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        self._now.copy_(tensors["influence"])
        self._mask = tensors.get("mask")  # made from the weights at the beginning of the sequence

    def _by_name(self, columns: Tensor) -> dict[str, Tensor]:
        parts = columns.split([math.prod(shape) for shape in self._shapes.values()], dim=-1)
        shaped = zip(self._shapes.items(), parts, strict=True)
        return {name: part.unflatten(-1, shape) if shape else part[..., 0] for (name, shape), part in shaped}


class DenseStart(StartInfluence):
    """Influence of the start with all entries: [batch, S, S]."""

    def __init__(self, system: System, like: Float[Tensor, "batch member"], action: Action) -> None:
        size = sum(system.sizes)
        self._action, self._eye = action, torch.eye(size, dtype=like.dtype, device=like.device)
        self._now = like.new_zeros(len(like), size, size)

    def contract(self, d_state: Float[Tensor, "batch size"]) -> Float[Tensor, "batch size"]:
        return torch.einsum("bi,bij->bj", d_state, self._now)

    def advance(self, step: Step, ended: Bool[Tensor, "batch 1"] | None = None) -> None:
        after = torch.empty_like(self._now)
        carry(self._action(step), self._now, after)
        keep_ended(ended, self._now, after)
        self._now = after

    def start(self, rows: Bool[Tensor, "batch 1"]) -> None:
        self._now = torch.where(rows[..., None], self._eye, self._now)

    def forget(self, rows: Bool[Tensor, "batch 1"]) -> None:
        self._now = blank(rows, self._now)


def carry(action: Tensor, before: Float[Tensor, "batch size p"], after: Float[Tensor, "batch size p"]) -> None:
    """Write J `before` to `after`, for matrices J [batch, S, S] or diagonals [batch, S]."""
    if action.dim() == 2:
        torch.mul(action[..., None], before, out=after)
    else:
        torch.bmm(action, before, out=after)


def keep_ended(ended: Bool[Tensor, "batch 1"] | None, before: Tensor, after: Tensor) -> None:
    """Copy `before` to `after` in the rows that took no step."""
    if ended is not None:
        torch.where(ended.view(-1, *[1] * (after.dim() - 1)), before, after, out=after)


def check_room(system: System, batch: int) -> None:
    """Refuse a dense influence that does not fit in memory.

    Two copies of A are held. Without this check the process could be killed half-way.

    Raises:
        UnsupportedError: two copies need more than the memory of the device.
    """
    values = list(system.parameters.values())
    size, parameters, memory = sum(system.sizes), sum(value.numel() for value in values), memory_of(values[0].device)
    needed = 2 * batch * size * parameters * values[0].element_size()
    if needed > memory:
        raise UnsupportedError(
            f"the influence ∂s/∂θ of {batch} rows, {size} state variables and {parameters} parameters needs "
            f"{needed / 1e9:.1f} GB, and the device has {memory / 1e9:.1f} GB in all: use fewer rows, a smaller layer, "
            "or SnAp(1), UORO or TruncatedBPTT"
        )


def memory_of(device: torch.device) -> float:
    """Return the bytes of a device's memory; infinite where they are not known."""
    if device.type == "cuda":
        return float(torch.cuda.get_device_properties(device).total_memory)
    if device.type == "cpu" and sys.platform != "win32":
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return math.inf
