"""The gate of every layer: what torch.nn accepts becomes one padded, time-major batch, and comes back as it came."""

from bisect import bisect_left
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from throughtime.errors import ArgumentError
from throughtime.sequences.autocast import autocasts
from throughtime.sequences.sequence import check_indices, valid_steps

INDICES = frozenset((torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8))
"""The dtypes of inputs that say which input is 1."""


class Batch(NamedTuple):
    """A layer's input in the one form the layers compute with, and how to undo it.

    Attributes:
        x: inputs [T, B, I], or [N, I] with `batch_sizes`; or without the last dimension, indices of one-hot inputs.
        rows: B.
        dtype: what the layer computes in.
        lengths: valid steps of each row [B], or None where all are full.
        resets: [T, B], False in padding, or None.
        batch_sizes: of a PackedSequence whose rows are not all full.
        unbatched: whether the input had no batch dimension.
        batch_first: whether the input had the batch dimension first.
        packed: the PackedSequence that came, or None.
    """

    x: Float[Tensor, "*steps input"] | Int[Tensor, "*steps"]
    rows: int
    dtype: torch.dtype
    lengths: Tensor | None
    resets: Bool[Tensor, "time batch"] | None
    batch_sizes: Tensor | None = None
    unbatched: bool = False
    batch_first: bool = False
    packed: PackedSequence | None = None

    def output(self, y: Float[Tensor, "*steps hidden"]) -> Tensor | PackedSequence:
        """The layer's output in the form of its input."""
        if self.packed is not None:
            data = y.flatten(0, -2)
            return PackedSequence(
                data, self.packed.batch_sizes, self.packed.sorted_indices, self.packed.unsorted_indices
            )
        if self.unbatched:
            return y.squeeze(1)
        return y.transpose(0, 1) if self.batch_first else y

    def state_in(self, state: Float[Tensor, "layers *batch size"]) -> Tensor:
        """A state that came with the input, rows in the order of `x`."""
        if self.unbatched:
            return state.unsqueeze(1)
        sorting = self.packed and self.packed.sorted_indices
        return state if sorting is None else state.index_select(1, sorting)

    def state_out(self, state: Float[Tensor, "layers batch size"]) -> Tensor:
        """A state for the caller, rows in the order of the input."""
        if self.unbatched:
            return state.squeeze(1)
        unsorting = self.packed and self.packed.unsorted_indices
        return state if unsorting is None else state.index_select(1, unsorting)


def read_batch(x: Any, lengths: Any, resets: Any, batch_first: bool, input_size: int, like: Tensor | None) -> Batch:
    """Check a layer's input and bring it into the form of `Batch`.

    `like` is one of the layer's parameters, whose dtype and device the input must have; None if it has none.

    Raises:
        ArgumentError: naming what does not fit and what would.
    """
    if isinstance(x, PackedSequence):
        return _read_packed(x, lengths, resets, batch_first, input_size, like)
    if not isinstance(x, Tensor):
        raise ArgumentError(f"input is a {type(x).__name__}; it must be a tensor or a PackedSequence")
    indices = _holds_indices(x) and x.dim() < 3
    if x.dim() + indices not in (2, 3):
        raise ArgumentError(
            f"input has the shape {tuple(x.shape)}; it must be [time, batch, input], [batch, time, input] with "
            "batch_first=True, or [time, input] for one sequence; without the last dimension for whole numbers that "
            "say which input is 1"
        )
    x = _checked_indices(x, like) if indices else _checked(x, input_size, like)
    unbatched = x.dim() + indices == 2
    if unbatched and lengths is not None:
        raise ArgumentError("lengths came with one unbatched sequence; cut the sequence instead: input[:length]")
    swap = batch_first and not unbatched
    x = x.unsqueeze(1) if unbatched else x.transpose(0, 1) if swap else x
    if resets is not None:
        resets = _checked_resets(resets, x, unbatched, swap)
    if lengths is not None:
        lengths = _checked_lengths(lengths, x)
    if indices:
        check_indices(x, input_size, lengths)
    if lengths is not None and resets is not None:
        resets = resets & valid_steps(len(x), lengths)
    dtype = x.dtype if like is None else like.dtype
    return Batch(x, x.shape[1], dtype, lengths, resets, unbatched=unbatched, batch_first=swap)


def _read_packed(
    packed: PackedSequence, lengths: Any, resets: Any, batch_first: bool, input_size: int, like: Tensor | None
) -> Batch:
    if lengths is not None:
        raise ArgumentError("lengths came with a PackedSequence, which has its own: leave lengths out")
    indices = _holds_indices(packed.data) and packed.data.dim() == 1
    data = _checked_indices(packed.data, like) if indices else _checked(packed.data, input_size, like)
    dtype = data.dtype if like is None else like.dtype
    if indices:
        check_indices(data, input_size)
    sizes = packed.batch_sizes.tolist()  # some dozen operators on so few numbers would take as long as a layer's pass
    steps, rows = len(sizes), sizes[0]
    if resets is not None:
        resets = _checked_resets(resets, data.new_empty(steps, rows, 0), False, batch_first)
        resets = resets if packed.sorted_indices is None else resets.index_select(1, packed.sorted_indices)
    rising = sizes[::-1]
    if rising != sorted(rising) or rising[0] < 0 or sum(sizes) != len(data):
        raise ArgumentError(
            f"input is a PackedSequence whose batch_sizes do not decrease to describe its {len(data)} rows of data; "
            "make it with torch.nn.utils.rnn.pack_padded_sequence"
        )
    if len(data) == steps * rows:
        return Batch(data.unflatten(0, (steps, rows)), rows, dtype, None, resets, packed=packed)
    lengths = torch.tensor([steps - bisect_left(rising, row) for row in range(1, rows + 1)], device=data.device)
    if resets is not None:
        resets = resets & valid_steps(steps, lengths)
    return Batch(data, rows, dtype, lengths, resets, packed.batch_sizes, packed=packed)


def _holds_indices(x: Tensor) -> bool:
    return x.dtype in INDICES


def _checked_indices(x: Tensor, like: Tensor | None) -> Tensor:
    if like is None:
        raise ArgumentError("input holds whole numbers, but a layer without parameters has no dtype to make inputs of")
    _check_device(x, like)
    return x


def _check_device(x: Tensor, like: Tensor) -> None:
    if x.device != like.device:
        raise ArgumentError(f"input is on {x.device}, the layer on {like.device}; move one with .to(…)")


def _checked(x: Tensor, input_size: int, like: Tensor | None) -> Tensor:
    if x.shape[-1] != input_size:
        raise ArgumentError(
            f"input has {x.shape[-1]} features (shape {tuple(x.shape)}), the layer's input_size is {input_size}; "
            "they must be equal"
        )
    if like is None:
        return x
    _check_device(x, like)
    if autocasts(like.device):
        return x.to(like.dtype)
    if x.dtype != like.dtype:
        raise ArgumentError(f"input is {x.dtype}, the layer's parameters are {like.dtype}; convert one with .to(…)")
    return x


def _checked_resets(resets: Any, x: Tensor, unbatched: bool, batch_first: bool) -> Tensor:
    steps, rows = x.shape[:2]
    allowed = (steps,) if unbatched else (rows, steps) if batch_first else (steps, rows)
    if not isinstance(resets, Tensor) or resets.dtype != torch.bool or tuple(resets.shape) != allowed:
        came = f"{resets.dtype} {tuple(resets.shape)}" if isinstance(resets, Tensor) else type(resets).__name__
        raise ArgumentError(f"resets is {came}; it must be a bool tensor of the shape {allowed}, one flag a step")
    resets = resets.to(x.device)
    return resets[:, None] if unbatched else resets.T if batch_first else resets


def _checked_lengths(lengths: Any, x: Tensor) -> Tensor | None:
    steps, rows = x.shape[:2]
    try:
        values = lengths if isinstance(lengths, Tensor) else torch.tensor(lengths)
        values = values if values.numel() else values.long()  # an empty list has no dtype of its own
    except (TypeError, ValueError, RuntimeError):
        raise ArgumentError(f"lengths is a {type(lengths).__name__}; it must be {rows} whole numbers") from None
    whole = not (values.is_floating_point() or values.is_complex() or values.dtype == torch.bool)
    if not whole or tuple(values.shape) != (rows,):
        raise ArgumentError(
            f"lengths is {values.dtype} {tuple(values.shape)}; it must be {rows} whole numbers, one for each row"
        )
    if torch.compiler.is_compiling():  # the values are not known yet: the kernel looks at them when it has them
        return values.to(x.device)
    outside = ((values < 0) | (values > steps)).nonzero()
    if len(outside):
        row = int(outside[0])
        raise ArgumentError(
            f"lengths[{row}] is {int(values[row])}; the input has {steps} steps, so it must lie in 0 … {steps}"
        )
    return None if bool((values == steps).all()) else values.to(x.device)
