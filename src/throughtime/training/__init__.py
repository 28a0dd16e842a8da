"""Callbacks and helpers for training any Lightning module.

`GradientMonitor` is the callback; `throughtime.runs` uses the other modules of this room for the command's own runs.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from throughtime.training.monitor import GradientMonitor as GradientMonitor


def __getattr__(name: str) -> object:
    # Lightning is loaded only when the callback is asked for: other modules of this room need none.
    if name == "GradientMonitor":
        from throughtime.training.monitor import GradientMonitor

        return GradientMonitor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
