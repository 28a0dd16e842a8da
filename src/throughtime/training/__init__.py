"""Training a sequence model from a file: settings, model, Lightning module, callbacks, checkpoints, sentences.

`GradientMonitor` watches anybody's Lightning module.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from throughtime.training.monitor import GradientMonitor as GradientMonitor


def __getattr__(name: str) -> object:
    # Lightning is loaded only when the callback is asked for: the command line reads settings from this room.
    if name == "GradientMonitor":
        from throughtime.training.monitor import GradientMonitor

        return GradientMonitor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
