"""Nests of tensors: tuples, lists, mappings, named tuples (packed sequences too) and dataclasses, in one another."""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from torch import Tensor


def map_tensors(nest: Any, path: str, change: Callable[[str, Tensor], Any]) -> Any:
    """Return the nest with each tensor in it replaced by `change(its path, it)`; what is no tensor stays.

    Args:
        nest: anything.
        path: what the nest is called; its second member is then `path[1]`, or `path['name']`, or `path.name`.
        change: called in the order of the nest.
    """
    match nest:
        case Tensor():
            return change(path, nest)
        case Mapping():
            changed = {key: map_tensors(value, f"{path}[{key!r}]", change) for key, value in nest.items()}
            return changed
        case tuple() | list():
            members = [map_tensors(value, f"{path}[{index}]", change) for index, value in enumerate(nest)]
            named = getattr(type(nest), "_make", None)
            return named(members) if named else type(nest)(members)
    if is_dataclass(nest) and not isinstance(nest, type):
        entries = [entry.name for entry in fields(nest) if entry.init]
        return replace(nest, **{name: map_tensors(getattr(nest, name), f"{path}.{name}", change) for name in entries})
    return nest
