"""What a caller may pass in place of a plain tensor: `FORMS` by name, and `plain`, the same values without the form.

A form changes a tensor's memory, class, dtype, device or shape. `plain` is what the comparison computes with; where a
form has no values, or too few bytes behind its shape, `plain` raises `NoValues`, and only a refusal is right.
"""

import ctypes
import mmap
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

PAGE = mmap.PAGESIZE
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


class NoValues(Exception):
    """What came stands for no plain tensor."""


class ByFunction(Tensor):
    """A subclass with memory; torch hands every function to its __torch_function__, which changes nothing."""


class ByDispatch(Tensor):
    """A subclass without memory, whose values stand in another tensor."""

    elem: Tensor

    @staticmethod
    def __new__(cls, elem: Tensor) -> "ByDispatch":
        made = Tensor._make_wrapper_subclass(cls, elem.shape, dtype=elem.dtype, device=elem.device)
        made.elem = elem.detach()
        return made

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        bare = tree_map(lambda a: a.elem if isinstance(a, ByDispatch) else a, (args, kwargs or {}))
        return tree_map(lambda a: ByDispatch(a) if isinstance(a, Tensor) else a, func(*bare[0], **bare[1]))


def guarded(tensor: Tensor, at_end: bool = True) -> Tensor:
    """A contiguous copy that ends where a page begins that may not be read, or begins where such a page ends."""
    if tensor.is_quantized:
        raise TypeError("torch.frombuffer makes no scale, without which copying ends the process")
    size = tensor.numel() * tensor.element_size()
    pages = -(-size // PAGE)
    memory = mmap.mmap(-1, (pages + 2) * PAGE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for page in (0, pages + 1):
        if _LIBC.mprotect(address + page * PAGE, PAGE, 0):
            raise OSError(ctypes.get_errno(), "mprotect")
    if not size:
        return tensor.clone()
    offset = (pages + 1) * PAGE - size if at_end else PAGE
    copy = torch.frombuffer(memory, dtype=tensor.dtype, count=tensor.numel(), offset=offset).view(tensor.shape)
    return copy.copy_(tensor)


def _strided(tensor: Tensor) -> Tensor:
    """Every other element of every axis."""
    room = tensor.new_zeros([2 * size for size in tensor.shape])
    view = room[(slice(None, None, 2),) * tensor.dim()]
    return view.copy_(tensor)


def _misaligned(tensor: Tensor) -> Tensor:
    return torch.cat((tensor.new_zeros(1), tensor.flatten()))[1:].view(tensor.shape)


def _overlapping(tensor: Tensor) -> Tensor:
    """Every axis with the stride 1."""
    room = tensor.flatten() if tensor.numel() else tensor.new_zeros(1)
    room = torch.cat((room, room.new_ones(sum(tensor.shape))))
    return room.as_strided(tensor.shape, (1,) * tensor.dim())


def _expanded(tensor: Tensor, axis: int = 0) -> Tensor:
    if not tensor.numel() or not tensor.dim():
        return tensor
    return tensor.narrow(axis, 0, 1).expand(tensor.shape)


def _with_value(value: float) -> Callable[[Tensor], Tensor]:
    """The middle element replaced, for instance by NaN."""

    def change(tensor: Tensor) -> Tensor:
        if tensor.numel():
            tensor.view(-1)[tensor.numel() // 2] = value
        return tensor

    return change


def _freed(size: int) -> Callable[[Tensor], Tensor]:
    """The memory given back, but for `size` bytes."""

    def change(tensor: Tensor) -> Tensor:
        tensor.untyped_storage().resize_(min(size, tensor.untyped_storage().nbytes()))
        return tensor

    return change


def _inference(tensor: Tensor) -> Tensor:
    with torch.inference_mode():
        return tensor.clone()


def _quantised(tensor: Tensor) -> Tensor:
    return torch.quantize_per_tensor(tensor.float(), 0.1, 3, torch.quint8)


def _nested(tensor: Tensor) -> Tensor:
    return torch.nested.nested_tensor(list(tensor.unbind(0)), layout=torch.jagged)


def _cast(dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    return lambda tensor: tensor.to(dtype)


DTYPES = {
    name: getattr(torch, name)
    for name in """float16 bfloat16 float32 float64 complex64 complex128 float8_e4m3fn bool
        int8 uint8 int16 uint16 int32 uint32 int64 uint64""".split()
}

SAME_VALUES: dict[str, Callable[[Tensor], Any]] = {
    "transposed": lambda t: t.mT.contiguous().mT if t.dim() > 1 else _strided(t),
    "strided": _strided,
    "misaligned": _misaligned,
    "negative": lambda t: torch._neg_view(-t),
    "conjugate's imaginary part": lambda t: torch.complex(t, -t).conj().imag,
    "guarded": guarded,
    "guarded from below": lambda t: guarded(t, at_end=False),
    "by function": lambda t: t.as_subclass(ByFunction),
    "by dispatch": ByDispatch,
    "parameter": nn.Parameter,
    "buffer": nn.Buffer,
    "inference": _inference,
    "shared": lambda t: t.share_memory_(),
}
"""Forms that change no value."""

OTHER_VALUES: dict[str, Callable[[Tensor], Any]] = {
    "expanded": _expanded,
    "expanded in the last axis": lambda t: _expanded(t, -1),
    "overlapping": _overlapping,
    "nan": _with_value(float("nan")),
    "infinity": _with_value(float("inf")),
    "negative infinity": _with_value(float("-inf")),
    "zeros without memory": lambda t: torch._efficientzerotensor(t.shape, dtype=t.dtype),
    "one axis more": lambda t: t.unsqueeze(0),
    "one axis less": lambda t: t[0] if t.dim() and len(t) else t.flatten(),
    "scalar": lambda t: t.new_zeros(()),
    "none": lambda t: t[:0],
    "longer": lambda t: torch.cat((t, t[-1:])) if t.dim() else t,
    "wider": lambda t: torch.cat((t, t[..., -1:]), -1) if t.dim() else t,
    "shorter": lambda t: t[:-1] if t.dim() else t,
    "narrower": lambda t: t[..., :-1] if t.dim() else t,
    "one": lambda t: t.flatten()[:1],
    "conjugate": lambda t: torch.complex(t, t).conj(),
    "huge": lambda t: t + 200 if t.dtype is torch.int64 else t * 1e30,
    "below zero": lambda t: -t - 1,
    "sparse": lambda t: t.to_sparse(),
    "sparse rows": lambda t: t.to_sparse_csr(),
    "for oneDNN": lambda t: t.float().to_mkldnn(),
    "quantised": _quantised,
    "nested": _nested,
    "meta": lambda t: t.to("meta"),
    "freed": _freed(0),
    "cut short": _freed(4),
    "uninitialised": lambda t: nn.UninitializedParameter(dtype=t.dtype),
    "numbers": lambda t: t.tolist(),
    "numpy": lambda t: t.numpy(),
    "text": lambda t: "abc",
    "None": lambda t: None,
    "object": lambda t: object(),
    "one number": lambda t: 3,
    "tuple": lambda t: (t, t),
    **{name: _cast(dtype) for name, dtype in DTYPES.items()},
}
"""Forms of other values, or of none."""

FORMS = SAME_VALUES | OTHER_VALUES

USUAL = set(SAME_VALUES) - {"by function", "by dispatch", "inference"}
USUAL |= {"expanded", "expanded in the last axis", "overlapping", "nan", "infinity", "negative infinity"}
"""Forms that no layer may refuse in a tensor of numbers: a view, another stride, a value."""

USUAL_LENGTHS = {"int8", "uint8", "int16", "int32", "int64", "numbers", "expanded", "strided", "misaligned"}


LAST = {"freed", "cut short"}
"""Forms and events that come after all others on the same tensor: the others read what these take away."""


def in_order(changes: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Pairs of a place and a form or event in an order in which each can be made."""
    return sorted(changes, key=lambda change: change[1] in LAST)


def changed(value: Any, form: str) -> Any:
    """`value` in a form; as it is where the form cannot hold it (a list has no strides, torch has no half int)."""
    try:
        return FORMS[form](value)
    except (RuntimeError, TypeError, AttributeError, NotImplementedError, IndexError, ValueError, AssertionError):
        return value


def plain(value: Any) -> Any:
    """A contiguous tensor of the base class with the same values; what is no tensor as it is."""
    if not isinstance(value, Tensor):
        return value
    value = value.elem if isinstance(value, ByDispatch) else value
    value = value.as_subclass(Tensor) if isinstance(value, ByFunction) else value
    if value.is_meta or value.is_nested or isinstance(value, nn.UninitializedParameter):
        raise NoValues(str(type(value)))
    if lacks_memory(value):
        raise NoValues("too little memory")
    value = value.dequantize() if value.is_quantized else value
    value = value if value.layout is torch.strided else value.to_dense()
    value = value.detach()
    bare = torch.empty(value.shape, dtype=value.dtype)
    return bare.copy_(value)


def lacks_memory(value: Tensor) -> bool:
    """Whether too few bytes stand behind its shape."""
    if value.layout is not torch.strided or value.is_nested or not value.numel() or value._is_zerotensor():
        return False
    last = value.storage_offset() + sum((n - 1) * s for n, s in zip(value.shape, value.stride(), strict=True))
    return value.untyped_storage().nbytes() < (last + 1) * value.element_size()
