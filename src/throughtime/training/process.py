"""Packages that a training needs, and what it leaves as it was."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from throughtime.errors import UnsupportedError

_PACKAGES = ("lightning", "safetensors", "tqdm", "yaml")
"""Packages of the extra `train` that trainings and their folders need."""


def with_extra(module: str) -> Any:
    """Return a module that needs the extra `train`.

    Raises:
        UnsupportedError: a package of the extra is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _PACKAGES:
            raise
        raise UnsupportedError(
            f"Training needs {package}, which is not installed: pip install 'throughtime[train]'."
        ) from None


@contextmanager
def settled_process() -> Iterator[None]:
    """Restore torch's random state and its number of threads after the block."""
    import torch

    threads = torch.get_num_threads()
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    try:
        with torch.random.fork_rng(devices=list(devices)):
            yield
    finally:
        torch.set_num_threads(threads)
