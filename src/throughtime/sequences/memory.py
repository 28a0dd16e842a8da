"""Memory of tensors: whether values may be looked at, and whether they are all there."""

import torch
from torch import Tensor

from throughtime.errors import ArgumentError
from throughtime.torch_internals import operators_watched, transforms_active


def is_readable(tensor: Tensor) -> bool:
    """Return whether a tensor's values may be looked at in Python.

    On the meta device and under vmap there are none; while a graph is recorded, other values will take their place.
    """
    return not (tensor.is_meta or torch.compiler.is_compiling() or transforms_active() or operators_watched())


def check_memory(name: str, tensor: Tensor) -> None:
    """Check that a tensor's storage holds all of the tensor's elements.

    Anybody can free or resize a storage, and PyTorch's operations then read beyond it without a check. Whoever reads a
    tensor that a caller passed in asks here first, unless the tensor has no values to read (see `is_readable`).

    Args:
        name: the name of the tensor, for the error.
        tensor: the tensor; without a storage of its own, as a sparse tensor is, it is not checked.

    Raises:
        ArgumentError: the storage was freed or cut short.

    Cost: a third of a microsecond.
    """
    try:
        present = tensor.untyped_storage().nbytes()
    except (NotImplementedError, RuntimeError):
        return
    whole = tensor.is_contiguous()
    if whole and present == tensor.nbytes and not tensor.storage_offset():
        return  # the usual case, in a third of the time
    elements = tensor.numel()
    if not whole:
        reach = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
        elements = elements and 1 + reach
    used = elements and int(tensor.storage_offset() + elements) * tensor.itemsize
    if present < used:
        raise ArgumentError(
            name,
            f"has a storage of {present} bytes, and {used} belong to it",
            "its memory was freed or resized",
            "leave a tensor's storage as it is until the backward pass has run",
        )


def converted(name: str, tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a tensor in a dtype, and check its memory where the conversion reads it.

    Raises:
        ArgumentError: see `check_memory`.
    """
    if tensor.dtype is dtype:
        return tensor
    if is_readable(tensor):
        check_memory(name, tensor)
    return tensor.to(dtype)
