"""Nests of tensors: tuples, lists, mappings, named tuples and dataclasses within each other.

torch has no public functions for this: those of `torch.utils._pytree` are private, do not open dataclasses, and name
the members of a PackedSequence otherwise than by index.
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from torch import Tensor


def leaves_of(nest: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Iterate over the leaves of a nest with their paths, in order.

    A leaf is any object that is no container, a tensor or something else.

    Args:
        nest: any object.
        path: name of the nest; the path of a member is then `path[1]`, `path['name']` or `path.name`.
    """
    members = _members(nest)
    if members is None:
        yield path, nest
        return
    for suffix, member in members:
        yield from leaves_of(member, path + suffix)


def tensors_of(nest: Any) -> list[Tensor]:
    """List the tensors of a nest, in order."""
    return [leaf for _, leaf in leaves_of(nest) if isinstance(leaf, Tensor)]


def refill(nest: Any, leaves: Iterable[Any]) -> Any:
    """Build the same nest with other leaves, given in the order of `leaves_of`."""
    return _refill(nest, iter(leaves))


def map_tensors(change: Callable[[Tensor], Any], nest: Any) -> Any:
    """Build the same nest with `change(tensor)` in place of each tensor."""
    return map_named_tensors(lambda _, tensor: change(tensor), nest, "")


def map_named_tensors(change: Callable[[str, Tensor], Any], nest: Any, path: str) -> Any:
    """Build the same nest with `change(path, tensor)` in place of each tensor."""
    leaves = leaves_of(nest, path)
    return refill(nest, (change(where, leaf) if isinstance(leaf, Tensor) else leaf for where, leaf in leaves))


def _members(nest: Any) -> list[tuple[str, Any]] | None:
    """List the members of a container with their parts of the path; None for leaves."""
    if isinstance(nest, Tensor):
        return None
    if isinstance(nest, Mapping):
        return [(f"[{key!r}]", member) for key, member in nest.items()]
    if isinstance(nest, tuple | list):
        return [(f"[{index}]", member) for index, member in enumerate(nest)]
    if is_dataclass(nest) and not isinstance(nest, type):
        return [(f".{name}", getattr(nest, name)) for name in _names(nest)]
    return None


def _refill(nest: Any, leaves: Iterator[Any]) -> Any:
    members = _members(nest)
    if members is None:
        return next(leaves)
    filled = [_refill(member, leaves) for _, member in members]
    if isinstance(nest, dict):
        changed = copy.copy(nest)  # a copy keeps its class, such as OrderedDict
        for key, member in zip(nest, filled, strict=True):
            changed[key] = member
        return changed
    if isinstance(nest, Mapping):
        return dict(zip(nest, filled, strict=True))
    if isinstance(nest, tuple | list):
        return getattr(type(nest), "_make", type(nest))(filled)  # a named tuple takes its members as separate arguments
    return replace(nest, **dict(zip(_names(nest), filled, strict=True)))


def _names(nest: Any) -> list[str]:
    """Return the names of the fields that a dataclass takes in its __init__."""
    return [entry.name for entry in fields(nest) if entry.init]
