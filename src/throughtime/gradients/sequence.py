"""What a recurrence runs over: inputs, the states it starts from, and which steps count."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from throughtime.types import State


@dataclass(frozen=True)
class Sequence:
    """A batch of sequences, time-major, with the rule for lengths and resets.

    At step t a row's state is, in this order: returned to `reset_state` where `resets[t]`, advanced by the cell, or
    kept as it is once the row has ended (there `resets` must be False). Outputs after a row's end are zero.

    Args:
        x: inputs [T, B, I].
        initial: the state before the first step, each member [B, size].
        reset_state: the state that resets return to, likewise.
        lengths: valid steps of each row; None where all rows are full.
        resets: True at the steps before which a row's state starts anew; None for none.
    """

    x: Float[Tensor, "time batch input"]
    initial: State
    reset_state: State
    lengths: Int[Tensor, " batch"] | None = None
    resets: Bool[Tensor, "time batch"] | None = None

    @cached_property
    def padding(self) -> Bool[Tensor, "time batch"] | None:
        """True after each row's end; None where all rows are full."""
        if self.lengths is None:
            return None
        return torch.arange(len(self.x), device=self.x.device)[:, None] >= self.lengths

    @cached_property
    def padding_at(self) -> list[Tensor | None]:
        """For each step its column of `padding` [B, 1], or None where it is False throughout."""
        return self._columns(self.padding)

    @cached_property
    def resets_at(self) -> list[Tensor | None]:
        """Likewise for `resets`."""
        return self._columns(self.resets)

    def _columns(self, mask: Tensor | None) -> list[Tensor | None]:
        if mask is None:
            return [None] * self.x.shape[0]
        any_row = mask.any(dim=1).tolist()
        return [column[:, None] if some else None for column, some in zip(mask, any_row, strict=True)]

    def entering(self, t: int, state: State) -> State:
        """The state that enters step t, from the one that left step t - 1."""
        return choose(self.resets_at[t], self.reset_state, state)

    def leaving(self, t: int, advanced: State, entered: State) -> State:
        """The state that leaves step t."""
        return choose(self.padding_at[t], entered, advanced)

    def output(self, t: int, state: State) -> Tensor:
        """h_t, zero at padded steps."""
        return blank(self.padding_at[t], state[0])

    def rows(self, steps: Tensor) -> Tensor:
        """The rows [N, …] of the steps [T, B, …] that count; what stands in padding takes no part in any sum."""
        return steps.flatten(0, 1) if self.padding is None else steps[~self.padding]

    def from_rows(self, rows: Tensor) -> Tensor:
        """The reverse of `rows`, zero in padding."""
        time_batch = self.x.shape[:2]
        if self.padding is None:
            return rows.unflatten(0, time_batch)
        steps = rows.new_zeros(*time_batch, *rows.shape[1:])
        return steps.masked_scatter(~self.padding[(..., *[None] * (rows.dim() - 1))], rows)


def choose(mask: Tensor | None, where_true: State, where_false: State) -> State:
    """Member by member, `where_true` at the rows of `mask` [B, 1], `where_false` at the others."""
    if mask is None:
        return where_false
    return tuple(torch.where(mask, true, false) for true, false in zip(where_true, where_false, strict=True))


def blank(mask: Tensor | None, value: Tensor) -> Tensor:
    """`value` [B, …] with zeros at the rows of `mask` [B, 1]; a NaN there is gone too."""
    return value if mask is None else value.masked_fill(mask.view(-1, *[1] * (value.dim() - 1)), 0)


def stack_steps(steps: list[Tensor], like: Tensor, size: int) -> Tensor:
    """[T, B, size] from T tensors [B, size]; T = 0 is legal."""
    return torch.stack(steps) if steps else like.new_empty(0, like.shape[1], size)
