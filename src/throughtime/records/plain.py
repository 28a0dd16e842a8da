"""Conversion of records to plain JSON and back: dataclasses, lists, dictionaries and special numbers."""

import math
import types
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import lru_cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from throughtime.records.ranges import Consistent, FieldError, shown
from throughtime.wording import listed

DEEPEST = 50
"""Levels of lists and dictionaries within each other that a value of any form may have."""

_SPECIAL = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_LARGEST = 2**63
"""Bound of whole numbers, which other libraries count in 64 bits."""

_DRAWABLE = 1e300
"""Bound of numbers, above which sums and the axes of a figure overflow."""

_WORDS = {
    bool: "true or false", int: "a whole number", float: "a number", str: "text", list: "a list", dict: "a dictionary",
    tuple: "a list", types.NoneType: "nothing",
}  # fmt: skip


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
    """Reverse `to_plain` for a value of the type `kind`, as annotated.

    The type is the schema of what is read. A dataclass is read from a dictionary of its fields, of which those with a
    default may be missing. A union is the first member that fits. `Annotated[…, Range]` limits a number. Every other
    class stands for its instances.

    Raises:
        FieldError: the value is not of the type; it names the place.
    """
    container, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return _not_too_deep(value, DEEPEST)
    if container is Annotated:
        read = from_plain(arguments[0], value)
        arguments[1].check(read)
        return read
    if container in (types.UnionType, Union):
        return _first_that_fits(arguments, value)
    if container is Literal:
        return _member(arguments, value)
    if container is list:
        return [_at(f"[{i}]", arguments[0], entry) for i, entry in enumerate(_of_class(list, value))]
    if container is tuple:
        return _tuple(arguments, value)
    if container is dict:
        return {
            _at("", arguments[0], key): _at(f".{key}", arguments[1], entry)
            for key, entry in _of_class(dict, value).items()
        }
    if isinstance(kind, type) and is_dataclass(kind):
        return _dataclass(kind, _of_class(dict, value))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(_member([member.value for member in kind], value))
    return _number(value) if kind is float else _of_class(kind, value)


@lru_cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _at(part: str, kind: Any, value: Any) -> Any:
    """Read a part of a value; an error names the part."""
    try:
        return from_plain(kind, value)
    except FieldError as misfit:
        raise misfit.inside(part) from None


def _dataclass(kind: type, values: dict[Any, Any]) -> Any:
    hints = _hints(kind)
    for name in values:
        if name not in hints:
            raise FieldError("is not known", "left out, or read by a newer version", f".{shown(name)}")
    for entry in fields(kind):
        if entry.name not in values and entry.default is MISSING and entry.default_factory is MISSING:
            raise FieldError("is missing", "present", f".{entry.name}")
    record = kind(**{name: _at(f".{name}", hints[name], entry) for name, entry in values.items()})
    if isinstance(record, Consistent):
        record.check()
    return record


def _tuple(kinds: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    entries = _of_class((list, tuple), value)
    if kinds[1:] == (...,):
        kinds = (kinds[0],) * len(entries)
    if len(entries) != len(kinds):
        raise FieldError(f"has {len(entries)} entries", f"a list of {len(kinds)}")
    return tuple(_at(f"[{i}]", kind, entry) for i, (kind, entry) in enumerate(zip(kinds, entries, strict=True)))


def _first_that_fits(kinds: tuple[Any, ...], value: Any) -> Any:
    misfits: list[FieldError] = []
    for kind in kinds:
        try:
            return from_plain(kind, value)
        except FieldError as misfit:
            misfits.append(misfit)
    deepest = max(misfits, key=lambda misfit: len(misfit.path))
    together = listed(dict.fromkeys(misfit.allowed for misfit in misfits if misfit.path == deepest.path), "or")
    raise FieldError(deepest.came, together, deepest.path)


def _member(members: Iterable[Any], value: Any) -> Any:
    for member in members:
        if type(member) is type(value) and member == value:
            return value
    raise FieldError(f"is {shown(value)}", f"one of {', '.join(map(str, members))}")


def _of_class(kind: Any, value: Any) -> Any:
    """Return a value of a class. A truth value is no whole number, although Python says so."""
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        named = kind[0] if isinstance(kind, tuple) else kind
        raise FieldError(f"is {shown(value)}", _WORDS.get(named, f"a {named.__name__}"))
    if kind is int and not -_LARGEST <= value < _LARGEST:
        raise FieldError(f"is {shown(value)}", "a whole number of at most 64 bits")
    return value


def _number(value: Any) -> float:
    if isinstance(value, str) and value in _SPECIAL:
        return _SPECIAL[value]
    if not isinstance(value, float):
        try:
            return float(_of_class(int, value))
        except FieldError:
            raise FieldError(f"is {shown(value)}", _WORDS[float]) from None
    if math.isfinite(value) and abs(value) > _DRAWABLE:
        raise FieldError(f"is {shown(value)}", f"a number of a size up to {_DRAWABLE:g}")
    return value


def _not_too_deep(value: Any, levels: int) -> Any:
    """Return a value whose lists and dictionaries are nested in at most so many levels."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if levels == 0:
        raise FieldError("is nested too deeply", f"nested at most {DEEPEST} levels deep")
    for entry in inner:
        _not_too_deep(entry, levels - 1)
    return value
