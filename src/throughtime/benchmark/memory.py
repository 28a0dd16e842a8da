"""How many bytes of tensors are alive at one time."""

import weakref
from collections.abc import Callable
from typing import Any

from torch import Tensor, UntypedStorage

from throughtime.torch_internals import TorchDispatchMode, tree_leaves


class LiveBytes(TorchDispatchMode):
    """Counts the storages that operations make inside the block, until they are freed.

    Attributes:
        peak: the most bytes alive at one time; what was there before the block, and what one operation needs and frees
            by itself, is left out.
    """

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._alive: dict[int, int] = {}

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for one in tree_leaves((args, kwargs)):
            if isinstance(one, Tensor):  # there before, or counted already
                self._count(one.untyped_storage(), 0)
        result = function(*args, **(kwargs or {}))
        for one in tree_leaves(result):
            if isinstance(one, Tensor):
                self._count(one.untyped_storage(), one.untyped_storage().nbytes())
        self.peak = max(self.peak, sum(self._alive.values()))
        return result

    def _count(self, storage: UntypedStorage, size: int) -> None:
        key = id(storage)  # torch keeps one Python object for each storage
        if key not in self._alive:
            self._alive[key] = size
            weakref.finalize(storage, self._alive.pop, key)


def peak_bytes(function: Callable[[], object]) -> int:
    """The most bytes alive at one time of what `function` makes, its result included."""
    with LiveBytes() as live:
        kept = function()
    del kept
    return live.peak
