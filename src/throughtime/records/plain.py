"""Conversion of records to plain JSON and back: dataclasses, lists, dictionaries and special numbers."""

import math
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")


def to_plain(value: Any) -> Any:
    """Convert a value for `json.dumps(…, allow_nan=False)`; NaN and infinities become "nan", "inf", "-inf"."""
    if is_dataclass(value) and not isinstance(value, type):
        return {entry.name: to_plain(getattr(value, entry.name)) for entry in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {key: to_plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def from_plain(kind: Any, value: Any) -> Any:
    """Reverse `to_plain` for a value of the type `kind`, as annotated. A union must be of one type and None.

    Raises:
        ValueError, TypeError, KeyError: the value is not of the type.
    """
    container, arguments = get_origin(kind), get_args(kind)
    if container is types.UnionType:
        inner = next(argument for argument in arguments if argument is not types.NoneType)
        return None if value is None else from_plain(inner, value)
    if container is list:
        return [from_plain(arguments[0], entry) for entry in _checked(list, value)]
    if container is dict:
        return {str(key): from_plain(arguments[1], entry) for key, entry in _checked(dict, value).items()}
    if isinstance(kind, type) and is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{name: from_plain(hints[name], entry) for name, entry in _checked(dict, value).items()})
    return value if isinstance(value, kind) else kind(value)


def _checked(kind: type[T], value: Any) -> T:
    """Return the value, or raise `TypeError` where it is not of that type."""
    if not isinstance(value, kind):
        raise TypeError(f"a {type(value).__name__} where a {kind.__name__} is needed")
    return value
