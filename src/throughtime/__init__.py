"""Train recurrent networks with exact gradients, and see where gradients vanish or explode.

`throughtime.api` lists the public names. Each is imported on first use, so that `throughtime --help` does not wait for
torch. A room, such as `throughtime.kernels`, is imported on first use as well.
"""

import importlib
import importlib.util
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from throughtime.api import *  # noqa: F403  (the type checker's view of what __getattr__ serves)

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if not name.startswith("_"):
        api = importlib.import_module("throughtime.api")
        if hasattr(api, name):
            return getattr(api, name)
        if importlib.util.find_spec(f"throughtime.{name}") is not None:
            return importlib.import_module(f"throughtime.{name}")
    raise AttributeError(f"module 'throughtime' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({"__version__", *importlib.import_module("throughtime.api").__all__})


class _Watcher:
    """Finder that registers the kernels' operators with torch once both torch and this package are there.

    A saved graph names the operators, and is loaded only where they are registered.
    """

    watching = True

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        package, _, room = name.partition(".")
        if not self.watching or not (name == "torch" or (package == __name__ and room.isidentifier())):
            return None
        self.watching = False  # while the other finders are asked
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self.watching = True
        if spec is not None and spec.loader is not None:
            spec.loader = _WatchedLoader(spec.loader)  # type: ignore[assignment]
        return spec


class _WatchedLoader:
    """Loader of torch or of a room that registers the operators afterwards."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)

    def exec_module(self, module: Any) -> None:
        module.__spec__.loader = module.__loader__ = self.loader
        self.loader.exec_module(module)
        _register_operators(module.__name__)


def _register_operators(loaded: str = "") -> None:
    """Register the operators if torch is there, and no import of a room but `loaded` is under way."""
    parted = [name.split(".") for name in list(sys.modules) if name != loaded]
    rooms = [name[1] for name in parted if name[0] == __name__ and len(name) == 2]
    # A room becomes an attribute of the package when its import ends. Until then the modules below it may be
    # unfinished, and the operators, which need them, must wait; the loader of that room calls again.
    if "torch" in sys.modules and all(room in globals() for room in rooms):
        _watcher.watching = False  # and stays in sys.meta_path, which may be in use
        importlib.import_module("throughtime.kernels.flops")


_watcher = _Watcher()
sys.meta_path.insert(0, _watcher)  # type: ignore[arg-type]
_register_operators()
