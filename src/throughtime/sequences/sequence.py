"""Input sequences of a recurrence: inputs, initial states, lengths and resets."""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from throughtime.errors import ArgumentError
from throughtime.sequences.direction import reversed_in_time, reversed_resets
from throughtime.sequences.memory import check_memory, is_readable
from throughtime.torch_internals import assert_later
from throughtime.types import State

INDICES = frozenset(
    (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.uint16, torch.uint32, torch.uint64)
)
"""Dtypes of inputs that are indices of one-hot vectors."""


@dataclass(frozen=True)
class Sequence:
    """Batch of sequences, time-major, with lengths and resets.

    At step t a row's state first returns to `reset_state` where `resets[t]` is True; then the cell advances the state.
    Once a row has ended its state stays as it is (`resets` must be False there), and its outputs are zero.

    A sequence is plain if it is padded, runs forwards in time, and its inputs are vectors, zero in the padding. Kernels
    take any sequence; all other code asks for the plain form first.

    Args:
        x: inputs [T, B, I]; with `batch_sizes` [N, I], the valid steps only, as in a PackedSequence.
        initial: the state before the first step, each member [B, size].
        reset_state: the state that resets return to, each member [B, size].
        lengths: valid steps of each row; None where all rows are full. With `batch_sizes` they must not increase.
        resets: True at the steps before which a row's state starts anew; None for no resets.
        batch_sizes: number of rows of each step, where `x` holds the valid steps only; else None.
        reverse: whether each row is run from its last valid step to its first; outputs stay at their inputs' steps.
        one_hot: 0 for inputs that are vectors. Otherwise the number of inputs I, and `x` [T, B] (or [N]) holds the
            index of the input that is 1 at each step.
        inert: whether `x` is known to be zero in the padding.
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
        """Number of steps T and of rows B."""
        steps = self.x if self.batch_sizes is None else self.batch_sizes
        return steps.shape[0], self.initial[0].shape[0]

    @property
    def is_plain(self) -> bool:
        """Whether the sequence is in its plain form already."""
        # A packed sequence is not: it has lengths and is never `inert`.
        return (self.lengths is None or self.inert) and not self.reverse and not self.one_hot

    def plain(self) -> "Sequence":
        """Return the plain form of the sequence: padded, and forwards in time.

        Inputs in the padding are zero: a NaN in the padding reaches nothing.
        """
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
        """Cut out the steps start … stop - 1 of a padded sequence that runs forwards.

        Args:
            start, stop: steps, counted from 0.
            entering: the state that left step start - 1, each member [B, size].
        """
        lengths = None if self.lengths is None else (self.lengths - start).clamp(0, stop - start)
        resets = None if self.resets is None else self.resets[start:stop]
        return replace(self, x=self.x[start:stop], initial=entering, lengths=lengths, resets=resets)

    def assert_valid(self) -> None:
        """Make a compiled graph check the lengths and indices, which had no values while tracing."""
        if self.lengths is not None:
            inside = (self.lengths >= 0) & (self.lengths <= self.shape[0])
            assert_later(inside.all(), f"lengths must lie in 0 … {self.shape[0]}")
        if self.one_hot:
            inside = (self.x >= 0) & (self.x < self.one_hot)
            inside = inside if self.padding is None or self.batch_sizes is not None else inside | self.padding
            assert_later(inside.all(), f"whole numbers as inputs must lie in 0 … {self.one_hot - 1}")

    def to_plain(self, steps: Tensor) -> Tensor:
        """Convert a tensor that is laid out like `x` to the plain form's [T, B, …]."""
        if self.batch_sizes is not None:
            room = steps.new_zeros(self.shape[0] * self.shape[1], *steps.shape[1:])
            # The derivative of index_copy reads the shape of `steps` in the backward pass, when it may be another one.
            steps = room.index_put((self._valid,), steps).unflatten(0, self.shape)
        return reversed_in_time(steps, self.lengths) if self.reverse else steps

    def from_plain(self, steps: Tensor) -> Tensor:
        """Convert [T, B, …] of the plain form to the layout of `x`: undo `to_plain`."""
        return self.from_padded(reversed_in_time(steps, self.lengths) if self.reverse else steps)

    def from_padded(self, steps: Tensor) -> Tensor:
        """Convert padded steps [T, B, …] to the layout of `x`, without reversing time."""
        return steps if self.batch_sizes is None else steps.flatten(0, 1).index_select(0, self._valid)

    @property
    def _valid(self) -> Tensor:
        """Indices of the valid steps among all T·B."""
        assert self.padding is not None
        return (~self.padding).flatten().nonzero()[:, 0]

    @property
    def padding(self) -> Bool[Tensor, "time batch"] | None:
        """Mask that is True after each row's end; None where all rows are full."""
        return None if self.lengths is None else ~valid_steps(self.shape[0], self.lengths)

    def padding_at(self, t: int) -> Bool[Tensor, "batch 1"] | None:
        """Return the padding mask of step t; None where no row is padded."""
        return None if self.lengths is None else self._padding_columns[t]

    def resets_at(self, t: int) -> Bool[Tensor, "batch 1"] | None:
        """Return the reset mask of step t; None where no row is reset."""
        return None if self.resets is None else self._reset_columns[t]

    # Read only where a mask exists: torch.compile cannot trace a cached property.

    @cached_property
    def _padding_columns(self) -> list[Tensor | None]:
        return _columns(self.padding)

    @cached_property
    def _reset_columns(self) -> list[Tensor | None]:
        return _columns(self.resets)

    def entering(self, t: int, state: State) -> State:
        """Return the state that enters step t, from the state that left step t - 1."""
        return choose(self.resets_at(t), self.reset_state, state)

    def entered_by(self, left: State) -> State:
        """Return the states that enter all steps, from the states that left the steps.

        Both have members [T, B, size].
        """
        members = zip(self.initial, left, strict=True)
        before = tuple(torch.cat((initial[None], member))[:-1] for initial, member in members)
        return choose(None if self.resets is None else self.resets[..., None], self.reset_state, before)

    def leaving(self, t: int, advanced: State, entered: State) -> State:
        """Return the state that leaves step t: in padding the state that entered."""
        return choose(self.padding_at(t), entered, advanced)

    def output(self, t: int, state: State) -> Tensor:
        """Return h_t, zero in the rows that are padded at step t."""
        return blank(self.padding_at(t), state[0])

    def rows(self, steps: Tensor) -> Tensor:
        """Select the valid steps of [T, B, …] as rows [N, …].

        N is the sum of the lengths, or T·B where all rows are full. Values in the padding then take no part in any sum.
        """
        return steps.flatten(0, 1) if self.padding is None else steps[~self.padding]

    def from_rows(self, rows: Tensor) -> Tensor:
        """Put rows [N, …] back into [T, B, …], zero in padding; the inverse of `rows`."""
        time_batch = self.x.shape[:2]
        if self.padding is None:
            return rows.unflatten(0, time_batch)
        steps = rows.new_zeros(*time_batch, *rows.shape[1:])
        return steps.masked_scatter(~self.padding[(..., *[None] * (rows.dim() - 1))], rows)


def valid_steps(steps: int, lengths: Int[Tensor, " batch"]) -> Bool[Tensor, "time batch"]:
    """Make a mask that is True at each row's valid steps."""
    return torch.arange(steps, device=lengths.device)[:, None] < lengths


def steps_since_start(sequence: Sequence) -> Int[Tensor, "time batch"]:
    """Count the steps since the start or the latest reset of each row; 0 there."""
    steps = torch.arange(sequence.shape[0], device=sequence.initial[0].device)[:, None]
    if sequence.resets is None:
        return steps.expand(sequence.shape)
    return steps - (sequence.resets * steps).cummax(0).values


def check_indices(x: Int[Tensor, "*steps"], inputs: int, lengths: Tensor | None = None) -> None:
    """Check that the indices of a one-hot input lie in 0 … inputs - 1.

    Indices after a row's end may be anything. Tensors without values (see `is_readable`) are not checked: the operator
    checks the indices once they have values.

    Args:
        x: indices [T, B] or [N].
        inputs: number of inputs I.
        lengths: valid steps of each row [B] of an x [T, B]; None where all are valid.

    Raises:
        ArgumentError: an index lies outside, or memory was freed.
    """
    if not is_readable(x):
        return
    check_memory("input", x)
    if lengths is not None:
        check_memory("lengths", lengths)
        x = x[valid_steps(len(x), lengths)]
    low, high = (0, 0) if not x.numel() else (int(x.min()), int(x.max()))
    if low < 0 or high >= inputs:
        raise ArgumentError(
            "input",
            f"holds {low if low < 0 else high}",
            f"whole numbers say which input is 1, so they must lie in 0 … {inputs - 1} for input_size = {inputs}",
        )


def _columns(mask: Tensor | None) -> list[Tensor | None]:
    """Split a mask [T, B] into a column [B, 1] for each step; None at steps where no row is known to be True."""
    assert mask is not None
    any_row = mask.any(dim=1).tolist() if is_readable(mask) else [True] * len(mask)
    return [column[:, None] if some else None for column, some in zip(mask, any_row, strict=True)]


def choose(mask: Tensor | None, where_true: State, where_false: State) -> State:
    """Choose between two states row by row.

    Each member is that of `where_true` at the rows of `mask` [B, 1], and that of `where_false` at all others. A
    `mask` of None has no rows.
    """
    if mask is None:
        return where_false
    return tuple(torch.where(mask, true, false) for true, false in zip(where_true, where_false, strict=True))


def blank(mask: Tensor | None, value: Tensor) -> Tensor:
    """Set `value` [B, …] to zero at the rows of `mask` [B, 1], NaNs included.

    A `mask` of None has no rows.
    """
    return value if mask is None else value.masked_fill(mask.view(-1, *[1] * (value.dim() - 1)), 0)


def stack_steps(steps: list[Tensor], like: Tensor, size: int) -> Tensor:
    """Stack T tensors [B, size] to [T, B, size]; T = 0 is legal.

    `like` [T, B, …] gives the number of rows, dtype and device if there are no tensors.
    """
    return torch.stack(steps) if steps else like.new_empty(0, like.shape[1], size)
