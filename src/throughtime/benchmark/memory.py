"""Count the bytes of tensors that are alive at the same time."""

import weakref
from collections.abc import Callable
from typing import Any

from torch import UntypedStorage

from throughtime.nests import tensors_of
from throughtime.torch_internals import TorchDispatchMode


class LiveBytes(TorchDispatchMode):
    """Dispatch mode that counts the storages of results from creation to release.

    Attributes:
        peak: the most bytes alive at one time. Storages from before the block, and memory that an operation frees
            before it ends, are left out.
    """

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._alive: dict[int, int] = {}

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for tensor in tensors_of((args, kwargs)):  # there before, or counted already
            self._count(tensor.untyped_storage(), 0)
        result = function(*args, **(kwargs or {}))
        for tensor in tensors_of(result):
            self._count(tensor.untyped_storage(), tensor.untyped_storage().nbytes())
        self.peak = max(self.peak, sum(self._alive.values()))
        return result

    def _count(self, storage: UntypedStorage, size: int) -> None:
        key = id(storage)  # torch keeps one Python object for each storage
        if key not in self._alive:
            self._alive[key] = size
            weakref.finalize(storage, self._alive.pop, key)


def peak_bytes(function: Callable[[], object]) -> int:
    """Return the peak of live bytes while a function runs, result included."""
    with LiveBytes() as live:
        kept = function()
    del kept
    return live.peak
