"""Packages of the extra `data`, imported where they are needed."""

import importlib
from types import ModuleType

from throughtime.errors import UnsupportedError


def extra(module: str, what: str) -> ModuleType:
    """Return a module of a package that the core does without.

    Args:
        module: the full name of the module, such as "pyarrow.parquet".
        what: what needs it, such as "A Parquet file".

    Raises:
        UnsupportedError: the package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.split(".")[0]
        raise UnsupportedError(
            f"{what} needs {package}, which is not installed: pip install 'throughtime[data]'."
        ) from None
