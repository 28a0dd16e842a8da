"""Tensors in tuples, lists and dictionaries: what a model's state may be."""

from collections.abc import Callable
from typing import Any

from torch import Tensor


def map_nest(function: Callable[[Tensor], Any], nest: Any) -> Any:
    """The same nest with every tensor replaced by what `function` makes of it; whatever is no tensor stays."""
    if isinstance(nest, Tensor):
        return function(nest)
    if isinstance(nest, dict):
        return {key: map_nest(function, value) for key, value in nest.items()}
    if isinstance(nest, tuple | list):
        values = [map_nest(function, value) for value in nest]
        return type(nest)(*values) if isinstance(nest, tuple) and type(nest) is not tuple else type(nest)(values)
    return nest


def tensors_of(nest: Any) -> list[Tensor]:
    """Its tensors, in order."""
    found: list[Tensor] = []
    map_nest(found.append, nest)
    return found
