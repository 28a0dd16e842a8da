"""Checks of arguments that modules of many rooms share."""

from typing import TypeGuard

from throughtime.errors import ArgumentError


def is_whole(value: object, least: int) -> TypeGuard[int]:
    """Return whether a value is an int of at least `least`, and no bool."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def check_size(name: str, value: object, least: int) -> None:
    """Raise `ArgumentError` unless `value` is a whole number of at least `least`."""
    if not is_whole(value, least):
        raise ArgumentError(name, f"is {value!r}", f"it must be a whole number, at least {least}")
