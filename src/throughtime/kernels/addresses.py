"""Addresses of tensors, checked before the compiled library gets them.

The library reads and writes whatever memory it is pointed to. No other module takes an address of a tensor that a
caller passed in.
"""

import torch
from torch import Tensor, nn

from throughtime.errors import ArgumentError
from throughtime.sequences.memory import check_memory
from throughtime.torch_internals import FakeTensor, is_zero_tensor, operators_watched

PLAIN_CLASSES = frozenset((Tensor, nn.Parameter, nn.Buffer))
"""Classes of tensors whose memory can be read; a tensor of a subclass may have no memory."""

_STRIDED = torch.strided
_PLAIN_OR_FAKE = PLAIN_CLASSES | {FakeTensor}


def are_plain_or_fake(*tensors: object) -> bool:
    """Return whether all are plain, or stand for plain tensors while operators are recorded."""
    classes = set(map(type, tensors))
    return classes <= PLAIN_CLASSES or (operators_watched() and classes <= _PLAIN_OR_FAKE)


class Addresses:
    """Addresses of tensors that were compared with what the library takes them for.

    It holds a reference to every tensor, so that copies live as long as their addresses are in use.

    Args:
        dtype: the dtype of the recurrence.

    Cost: each tensor takes about half a microsecond.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._held: list[Tensor] = []

    def of(self, name: str, tensor: Tensor, shape: tuple[int, ...], dtype: torch.dtype | None = None) -> int:
        """Return the address of a tensor's elements, densely packed.

        Args:
            name: the name of the tensor, for the error.
            tensor: the tensor.
            shape: the shape that it must have.
            dtype: the dtype that it must have; None for that of the recurrence.

        Raises:
            ArgumentError: the tensor is of another shape, dtype, device or class, or its storage was freed.
        """
        tensor = self._checked(name, tensor, shape, dtype or self._dtype)
        if not tensor.is_contiguous() or tensor.is_neg():
            tensor = _in_memory(tensor)
        self._held.append(tensor)
        return tensor.data_ptr()

    def of_steps(self, name: str, steps: Tensor, shape: tuple[int, ...]) -> tuple[int, int, int]:
        """Return the address of steps, and the strides of steps and of rows.

        The steps are [T, B, size] or [N, size], and strides count elements. Only the last axis must be contiguous, so
        that a transposed batch is not copied. The stride of the steps of packed rows is 0. For arguments and errors see
        `of`.
        """
        steps = self._checked(name, steps, shape, self._dtype)
        if (steps.stride(-1) != 1 and shape[-1] != 1) or steps.is_neg():
            steps = _in_memory(steps)
        self._held.append(steps)
        strides = steps.stride()
        return steps.data_ptr(), 0 if len(strides) == 2 else strides[0], strides[-2]

    def _checked(self, name: str, tensor: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        if (
            type(tensor) not in PLAIN_CLASSES
            or tensor.dtype is not dtype
            or tensor.shape != shape
            or not tensor.is_cpu
            or tensor.layout is not _STRIDED
        ):
            raise misfit(name, tensor, shape, dtype, torch.device("cpu"))
        check_memory(name, tensor)
        return torch.zeros(shape, dtype=dtype) if is_zero_tensor(tensor) else tensor


def check_tensor(name: str, value: Tensor, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> None:
    """Check the shape, dtype and device of a tensor of any class.

    Raises:
        ArgumentError: one of them is another.
    """
    if value.dtype is not dtype or value.shape != shape or value.device != device:
        raise misfit(name, value, shape, dtype, device)


def misfit(name: str, value: object, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> ArgumentError:
    """Return the error for a tensor that is not what a recurrence needs."""
    if not isinstance(value, Tensor):
        came = f"is a {type(value).__name__}"
    else:
        kind = "" if type(value) in PLAIN_CLASSES else f"a {type(value).__name__} of "
        layout = "" if value.layout is torch.strided else f" ({value.layout})"
        came = f"is {kind}{value.dtype} {tuple(value.shape)}{layout} on {value.device}"
    return ArgumentError(name, came, f"it must be {dtype} {shape} on {device}", "convert or replace it")


def _in_memory(tensor: Tensor) -> Tensor:
    """Return the tensor densely packed; the sign of a negative view is not in memory."""
    return tensor.resolve_neg().contiguous()
