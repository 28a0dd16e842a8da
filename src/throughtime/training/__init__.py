"""Training in Python: fit a model, open a run, watch any training.

`fit` and `load` are the commands in Python, and `GradientMonitor` is a callback for any Lightning module.
"""

from typing import TYPE_CHECKING

from throughtime.training.fitting import fit as fit
from throughtime.training.trained import TrainedRun as TrainedRun
from throughtime.training.trained import load as load

if TYPE_CHECKING:
    from throughtime.updates.monitor import GradientMonitor as GradientMonitor


def __getattr__(name: str) -> object:
    # Lightning is loaded only when the callback is asked for: what trains loads it when it is called.
    if name == "GradientMonitor":
        from throughtime.updates.monitor import GradientMonitor

        return GradientMonitor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
