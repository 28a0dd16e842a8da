"""Validate a layer's input and convert it to time-major."""

from bisect import bisect_left
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter
from torch.nn.utils.rnn import PackedSequence
from torch.overrides import is_tensor_like

from throughtime.errors import ArgumentError
from throughtime.sequences.autocast import autocasts
from throughtime.sequences.memory import check_memory, converted, is_readable
from throughtime.sequences.sequence import INDICES, check_indices, valid_steps

UNINITIALISED = (UninitializedParameter, UninitializedBuffer)
"""Classes of the tensors of lazy modules, which have no shape yet."""


class Batch(NamedTuple):
    """Layer input in the form that layers compute with, and the way back.

    Attributes:
        x: inputs [T, B, I], or [N, I] with `batch_sizes`; or without the last dimension, indices of one-hot inputs.
        rows: number of rows B.
        dtype: the dtype that the layer computes in.
        lengths: valid steps of each row [B]; None where all rows are full.
        resets: [T, B], False in padding; None for no resets.
        batch_sizes: number of rows of each step of a PackedSequence whose rows are not all full; else None.
        unbatched: whether the input had no batch dimension.
        batch_first: whether the input had the batch dimension first.
        packed: the PackedSequence that was passed in, or None.
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
        """Convert the layer's output to the form of its input."""
        if self.packed is not None:
            data = y.flatten(0, -2)
            return PackedSequence(
                data, self.packed.batch_sizes, self.packed.sorted_indices, self.packed.unsorted_indices
            )
        if self.unbatched:
            return y.squeeze(1)
        return y.transpose(0, 1) if self.batch_first else y

    def state_in(self, state: Float[Tensor, "layers *batch size"]) -> Tensor:
        """Convert a state that was passed in: rows in the order of `x`."""
        if self.unbatched:
            return state.unsqueeze(1)
        sorting = self.packed and self.packed.sorted_indices
        if sorting is None:
            return state
        if is_readable(state):
            check_memory("hx", state)
        return state.index_select(1, sorting)

    def state_out(self, state: Float[Tensor, "layers batch size"]) -> Tensor:
        """Convert a state for the caller: rows in the order of the input."""
        if self.unbatched:
            return state.squeeze(1)
        unsorting = self.packed and self.packed.unsorted_indices
        return state if unsorting is None else state.index_select(1, unsorting)


def read_batch(x: Any, lengths: Any, resets: Any, batch_first: bool, input_size: int, like: Tensor | None) -> Batch:
    """Validate a layer's input and convert it to a `Batch`.

    Args:
        x, lengths, resets: see `RecurrentLayer.forward`.
        batch_first: whether the layer takes [batch, time, …].
        input_size: number of features I.
        like: a parameter of the layer, whose dtype and device the input must have; None for a layer without parameters.

    Raises:
        ArgumentError: a type, shape, dtype or device does not fit.
    """
    if isinstance(x, PackedSequence):
        return _read_packed(x, lengths, resets, batch_first, input_size, like)
    if not is_tensor_like(x):
        raise ArgumentError("input", f"is a {type(x).__name__}", "it must be a tensor or a PackedSequence")
    if not _is_dense(x):
        layout = "nested" if x.is_nested else "uninitialised" if type(x) in UNINITIALISED else x.layout
        raise ArgumentError("input", f"is a tensor of the layout {layout}", "it must be dense", "convert it")
    indices = _holds_indices(x) and x.dim() < 3
    dimensions = x.dim() + indices  # an index stands for a vector, the last dimension
    if dimensions not in (2, 3):
        raise ArgumentError(
            "input",
            f"has the shape {tuple(x.shape)}",
            "it must be [time, batch, input], [batch, time, input] with batch_first=True, or [time, input] for one "
            "sequence",
            "leave out the last dimension for whole numbers that say which input is 1",
        )
    x = _checked_indices(x, like) if indices else _checked_vectors(x, input_size, like)
    unbatched = dimensions == 2
    if unbatched and lengths is not None:
        raise ArgumentError(
            "lengths", "came with one unbatched sequence", "they need a batch", "cut the sequence: input[:length]"
        )
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


def check_flags(name: str, flags: object, shape: tuple[int, ...], of: str) -> None:
    """Check that flags are a bool tensor of a shape.

    Args:
        name: the name of the argument, for the error.
        flags: the flags.
        shape: the shape that they must have.
        of: what each flag stands for, for the error: "step" or "row".

    Raises:
        ArgumentError: any other type, dtype or shape.
    """
    if not isinstance(flags, Tensor) or flags.dtype != torch.bool or tuple(flags.shape) != shape:
        came = f"{flags.dtype} {tuple(flags.shape)}" if isinstance(flags, Tensor) else type(flags).__name__
        raise ArgumentError(name, f"is {came}", f"it must be a bool tensor {shape}, a flag for each {of}")


def _read_packed(
    packed: PackedSequence, lengths: Any, resets: Any, batch_first: bool, input_size: int, like: Tensor | None
) -> Batch:
    if lengths is not None:
        raise ArgumentError("lengths", "came with a PackedSequence, which has lengths already", "", "leave lengths out")
    _check_packed(packed)
    indices = _holds_indices(packed.data) and packed.data.dim() == 1
    data = _checked_indices(packed.data, like) if indices else _checked_vectors(packed.data, input_size, like)
    dtype = data.dtype if like is None else like.dtype
    if indices:
        check_indices(data, input_size)
    if is_readable(packed.batch_sizes):
        check_memory("input.batch_sizes", packed.batch_sizes)
    # A list: a dozen tensor operators on so few numbers would take as long as a layer's pass.
    sizes = packed.batch_sizes.tolist()
    steps, rows = len(sizes), sizes[0]
    rising = sizes[::-1]
    if rising != sorted(rising) or rising[0] < 0 or sum(sizes) != len(data):
        raise _unpackable("batch_sizes", f"they must not increase, and their sum must be its {len(data)} rows of data")
    for name in ("sorted_indices", "unsorted_indices"):
        order = getattr(packed, name)
        if order is not None and (order.shape != (rows,) or not _is_permutation(name, order)):
            raise _unpackable(name, f"they must hold each row, 0 … {rows - 1}, once")
    if resets is not None:
        resets = _checked_resets(resets, data.new_empty(steps, rows, 0), False, batch_first)
        resets = resets if packed.sorted_indices is None else resets.index_select(1, packed.sorted_indices)
    if len(data) == steps * rows:
        return Batch(data.unflatten(0, (steps, rows)), rows, dtype, None, resets, packed=packed)
    # A row's length is the number of steps that have more rows than its index.
    lengths = torch.tensor([steps - bisect_left(rising, row) for row in range(1, rows + 1)], device=data.device)
    if resets is not None:
        resets = resets & valid_steps(steps, lengths)
    return Batch(data, rows, dtype, lengths, resets, packed.batch_sizes, packed=packed)


def _check_packed(packed: PackedSequence) -> None:
    """Check the types of a PackedSequence's members, which anybody can fill."""
    data, sizes = packed.data, packed.batch_sizes
    if not isinstance(data, Tensor) or not _is_dense(data) or not 1 <= data.dim() <= 2:
        raise _unpackable("data", "they must be a dense tensor [rows, input], or [rows] of whole numbers")
    if not isinstance(sizes, Tensor) or sizes.dtype != torch.int64 or sizes.dim() != 1 or not len(sizes):
        raise _unpackable("batch_sizes", "they must be whole numbers (int64), one for each step, and at least one")
    for name in ("sorted_indices", "unsorted_indices"):
        order = getattr(packed, name)
        if order is not None and not (
            isinstance(order, Tensor)
            and order.dtype == torch.int64
            and _is_dense(order)
            and order.device == data.device
        ):
            raise _unpackable(name, f"they must be whole numbers (int64) on {data.device}")


def _is_permutation(name: str, order: Tensor) -> bool:
    if not is_readable(order):
        return True
    check_memory(f"input.{name}", order)
    return sorted(order.tolist()) == list(range(len(order)))


def _is_dense(tensor: Tensor) -> bool:
    return tensor.layout is torch.strided and not tensor.is_nested and type(tensor) not in UNINITIALISED


def _unpackable(member: str, allowed: str) -> ArgumentError:
    return ArgumentError(
        "input",
        f"is a PackedSequence with inconsistent {member}",
        allowed,
        "make it with torch.nn.utils.rnn.pack_padded_sequence",
    )


def _holds_indices(x: Tensor) -> bool:
    return x.dtype in INDICES


def _checked_indices(x: Tensor, like: Tensor | None) -> Tensor:
    if like is None:
        raise ArgumentError(
            "input",
            "holds whole numbers",
            "a layer without parameters has no dtype to make one-hot vectors in",
            "pass one-hot vectors",
        )
    _check_device(x, like)
    return converted("input", x, torch.int64)


def _check_device(x: Tensor, like: Tensor) -> None:
    if x.device != like.device:
        raise ArgumentError("input", f"is on {x.device}", f"the layer is on {like.device}", "move either with .to(…)")


def _checked_vectors(x: Tensor, input_size: int, like: Tensor | None) -> Tensor:
    if x.shape[-1] != input_size:
        raise ArgumentError(
            "input",
            f"has {x.shape[-1]} features (shape {tuple(x.shape)})",
            f"they must be as many as the layer's input_size, {input_size}",
        )
    if like is None:
        return x
    _check_device(x, like)
    if autocasts(like.device):
        return converted("input", x, like.dtype)
    if x.dtype != like.dtype:
        raise ArgumentError(
            "input", f"is {x.dtype}", f"the layer's parameters are {like.dtype}", "convert either with .to(…)"
        )
    return x


def _checked_resets(resets: Any, x: Tensor, unbatched: bool, batch_first: bool) -> Tensor:
    """Return resets [T, B]; of x, time-major, only the shape and the device are read."""
    steps, rows = x.shape[:2]
    allowed = (steps,) if unbatched else (rows, steps) if batch_first else (steps, rows)
    check_flags("resets", resets, allowed, "step")
    if is_readable(resets):
        check_memory("resets", resets)
    resets = resets.to(x.device)
    return resets[:, None] if unbatched else resets.T if batch_first else resets


def _checked_lengths(lengths: Any, x: Tensor) -> Tensor | None:
    """Return lengths [B]; None where all rows are full."""
    steps, rows = x.shape[:2]
    try:
        values = lengths if isinstance(lengths, Tensor) else torch.tensor(lengths)
        values = values if values.numel() else values.long()  # torch gives an empty list a floating dtype
    except (TypeError, ValueError, RuntimeError):
        came = f"is a {type(lengths).__name__}"
        raise ArgumentError("lengths", came, f"it must be {rows} whole numbers, one for each row") from None
    whole = not (values.is_floating_point() or values.is_complex() or values.dtype == torch.bool)
    if not whole or tuple(values.shape) != (rows,):
        came = f"is {values.dtype} {tuple(values.shape)}"
        raise ArgumentError("lengths", came, f"it must be {rows} whole numbers, one for each row")
    values = converted("lengths", values, torch.int64)  # a narrow dtype would wrap in comparisons with T
    if not is_readable(values):  # the kernel checks them when it runs
        return values.to(x.device)
    check_memory("lengths", values)
    outside = ((values < 0) | (values > steps)).nonzero()
    if len(outside):
        row = int(outside[0])
        allowed = f"the input has {steps} steps, so it must lie in 0 … {steps}"
        raise ArgumentError(f"lengths[{row}]", f"is {int(values[row])}", allowed)
    return None if bool((values == steps).all()) else values.to(x.device)
