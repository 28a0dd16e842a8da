"""Checks of arguments that modules of many rooms share."""

from numbers import Real
from typing import TypeGuard

from throughtime.errors import ArgumentError


def is_whole(value: object, least: int) -> TypeGuard[int]:
    """Return whether a value is an int of at least `least`, and no bool."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def check_size(name: str, value: object, least: int) -> None:
    """Raise `ArgumentError` unless `value` is a whole number of at least `least`."""
    if not is_whole(value, least):
        raise ArgumentError(name, f"is {value!r}", f"it must be a whole number, at least {least}")


def is_real(value: object) -> TypeGuard[float]:
    """Return whether a value is a real number and no bool; numpy's count."""
    return isinstance(value, Real) and not isinstance(value, bool)


def check_positive(name: str, value: object, what: str, without: str) -> float | None:
    """Return a number above 0 as a float, or None as it is.

    Args:
        name: of the argument.
        value: the number, an infinity included, or None.
        what: the argument in words: "a norm".
        without: the meaning of None in words: "for no clipping".

    Raises:
        ArgumentError: for anything else.
    """
    if value is None:
        return None
    if not is_real(value) or not value > 0:  # so written, NaN is refused too
        shown = value if is_real(value) else repr(value)
        raise ArgumentError(name, f"is {shown}", f"it must be {what} above 0, or None {without}")
    return float(value)
