"""What a recurrence runs over: inputs, the states it starts from, and which steps count."""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from throughtime.errors import ArgumentError
from throughtime.gradients.direction import reversed_in_time, reversed_resets
from throughtime.torch_internals import assert_later, transforms_active
from throughtime.types import State


@dataclass(frozen=True)
class Sequence:
    """A batch of sequences, time-major, with the rule for lengths and resets.

    At step t a row's state is, in this order: returned to `reset_state` where `resets[t]`, advanced by the cell, or
    kept as it is once the row has ended (there `resets` must be False). Outputs after a row's end are zero.

    A sequence is plain if it is padded, runs forwards in time, and its inputs are vectors, zero in the padding. Kernels
    take any; whoever else runs one asks for its plain form first.

    Args:
        x: inputs [T, B, I]; with `batch_sizes` [N, I], the valid steps only, as in a PackedSequence.
        initial: the state before the first step, each member [B, size].
        reset_state: the state that resets return to, likewise.
        lengths: valid steps of each row; None where all rows are full. With `batch_sizes` they must not increase.
        resets: True at the steps before which a row's state starts anew; None for none.
        batch_sizes: how many rows each step has, where only those are there.
        reverse: each row is run from its last valid step to its first; its outputs stay where its inputs are.
        one_hot: 0, or how many inputs there are, of which `x` [T, B] (or [N]) says which one is 1 at each step.
        inert: `x` is known to be zero in the padding.
    """

    x: Float[Tensor, "*steps input"] | Int[Tensor, "*steps"]
    initial: State
    reset_state: State
    lengths: Int[Tensor, " batch"] | None = None
    resets: Bool[Tensor, "time batch"] | None = None
    batch_sizes: Int[Tensor, " time"] | None = None
    reverse: bool = False
    one_hot: int = 0
    inert: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """Steps T and rows B."""
        steps = self.x if self.batch_sizes is None else self.batch_sizes
        return steps.shape[0], self.initial[0].shape[0]

    @property
    def is_plain(self) -> bool:
        """Whether `plain` has nothing to do."""
        return (self.lengths is None or self.inert) and not self.reverse and not self.one_hot

    def plain(self) -> "Sequence":
        """The same, padded, forwards in time, and with zeros in the padding: a NaN there reaches nothing."""
        if self.is_plain:
            return self
        x = self.to_plain(self.x)
        if self.one_hot:
            classes = torch.arange(self.one_hot, device=x.device)
            x = (x[..., None] == classes).to(self.initial[0].dtype)
        if self.padding is not None and self.batch_sizes is None:
            x = x.masked_fill(self.padding[..., None], 0)
        resets = self.resets
        if self.reverse and resets is not None:
            resets = reversed_resets(resets, self.lengths)
        return Sequence(x, self.initial, self.reset_state, self.lengths, resets, inert=True)

    def part(self, start: int, stop: int, entering: State) -> "Sequence":
        """The steps start … stop - 1 as a sequence of their own, of a padded one that runs forwards in time.

        `entering` is the state that left step start - 1.
        """
        lengths = None if self.lengths is None else (self.lengths - start).clamp(0, stop - start)
        resets = None if self.resets is None else self.resets[start:stop]
        return replace(self, x=self.x[start:stop], initial=entering, lengths=lengths, resets=resets)

    def assert_valid(self) -> None:
        """Have a compiled graph check what could not be looked at while it was traced."""
        if self.lengths is not None:
            inside = (self.lengths >= 0) & (self.lengths <= self.shape[0])
            assert_later(inside.all(), f"lengths must lie in 0 … {self.shape[0]}")
        if self.one_hot:
            inside = (self.x >= 0) & (self.x < self.one_hot)
            inside = inside if self.padding is None or self.batch_sizes is not None else inside | self.padding
            assert_later(inside.all(), f"whole numbers as inputs must lie in 0 … {self.one_hot - 1}")

    def to_plain(self, steps: Tensor) -> Tensor:
        """[T, B, …] of the plain form from something laid out like `x`."""
        if self.batch_sizes is not None:
            room = steps.new_zeros(self.shape[0] * self.shape[1], *steps.shape[1:])
            steps = room.index_copy(0, self._valid, steps).unflatten(0, self.shape)
        return reversed_in_time(steps, self.lengths) if self.reverse else steps

    def from_plain(self, steps: Tensor) -> Tensor:
        """The reverse of `to_plain`."""
        return self.from_padded(reversed_in_time(steps, self.lengths) if self.reverse else steps)

    def from_padded(self, steps: Tensor) -> Tensor:
        """Laid out like `x`, from [T, B, …]."""
        return steps if self.batch_sizes is None else steps.flatten(0, 1).index_select(0, self._valid)

    @property
    def _valid(self) -> Tensor:
        """Where the steps that count lie among all T·B."""
        assert self.padding is not None
        return (~self.padding).flatten().nonzero()[:, 0]

    @property
    def padding(self) -> Bool[Tensor, "time batch"] | None:
        """True after each row's end; None where all rows are full."""
        return None if self.lengths is None else ~valid_steps(self.shape[0], self.lengths)

    def padding_at(self, t: int) -> Bool[Tensor, "batch 1"] | None:
        """Step t's column of `padding`, or None where it is False throughout."""
        return None if self.lengths is None else self._padding_columns[t]

    def resets_at(self, t: int) -> Bool[Tensor, "batch 1"] | None:
        """Likewise for `resets`."""
        return None if self.resets is None else self._reset_columns[t]

    # Cached where there are masks only: torch.compile cannot trace a cached property.

    @cached_property
    def _padding_columns(self) -> list[Tensor | None]:
        return _columns(self.padding)

    @cached_property
    def _reset_columns(self) -> list[Tensor | None]:
        return _columns(self.resets)

    def entering(self, t: int, state: State) -> State:
        """The state that enters step t, from the one that left step t - 1."""
        return choose(self.resets_at(t), self.reset_state, state)

    def entered_by(self, left: State) -> State:
        """`entering` for all steps at once, each member [T, B, size], from the states that left them, likewise."""
        members = zip(self.initial, left, strict=True)
        before = tuple(torch.cat((initial[None], member))[:-1] for initial, member in members)
        return choose(None if self.resets is None else self.resets[..., None], self.reset_state, before)

    def leaving(self, t: int, advanced: State, entered: State) -> State:
        """The state that leaves step t."""
        return choose(self.padding_at(t), entered, advanced)

    def output(self, t: int, state: State) -> Tensor:
        """h_t, zero at padded steps."""
        return blank(self.padding_at(t), state[0])

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


def valid_steps(steps: int, lengths: Int[Tensor, " batch"]) -> Bool[Tensor, "time batch"]:
    """True at the steps of each row before its end."""
    return torch.arange(steps, device=lengths.device)[:, None] < lengths


def check_indices(x: Int[Tensor, "*steps"], inputs: int, lengths: Tensor | None = None) -> None:
    """Raise `ArgumentError` where an index of a one-hot input [T, B] or [N] is none of 0 … inputs - 1.

    What stands after a row's end may be anything. Without values nothing is checked: on the meta
    device, under vmap, and while a graph is traced, where the operator does it when it has them.
    """
    if x.is_meta or torch.compiler.is_compiling() or transforms_active():
        return
    if lengths is not None:
        x = x[valid_steps(len(x), lengths)]
    low, high = (0, 0) if not x.numel() else (int(x.min()), int(x.max()))
    if low < 0 or high >= inputs:
        raise ArgumentError(
            f"input holds {low if low < 0 else high}; whole numbers say which input is 1, so they must lie in 0 … "
            f"{inputs - 1} for input_size = {inputs}"
        )


def _columns(mask: Tensor | None) -> list[Tensor | None]:
    assert mask is not None
    any_row = mask.any(dim=1).tolist()
    return [column[:, None] if some else None for column, some in zip(mask, any_row, strict=True)]


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
