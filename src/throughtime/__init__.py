"""Train recurrent networks with exact gradients, and see where gradients vanish or explode.

`throughtime.api` lists the public names. Each is imported on first use, so that `throughtime --help` does not wait for
torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from throughtime.api import *  # noqa: F403  (the type checker's view of what __getattr__ serves)

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module 'throughtime' has no attribute {name!r}")
    try:
        return getattr(importlib.import_module("throughtime.api"), name)
    except AttributeError:
        raise AttributeError(f"module 'throughtime' has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return sorted({"__version__", *importlib.import_module("throughtime.api").__all__})
