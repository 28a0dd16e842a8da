"""Checks of arguments that modules of many rooms share."""

from numbers import Integral, Real
from typing import TypeGuard

from throughtime.errors import ArgumentError, ArgumentTypeError


def is_whole(value: object, least: int) -> TypeGuard[int]:
    """Return whether a value is a whole number of at least `least`.

    Ints and the integers of numpy are whole numbers, bools are not.
    """
    return _is_number(value, Integral) and int(value) >= least  # type: ignore[call-overload]


def is_real(value: object) -> TypeGuard[float]:
    """Return whether a value is a real number.

    Floats, ints and the numbers of numpy are real numbers, bools are not.
    """
    return _is_number(value, Real)


def plain(number: float) -> int | float:
    """Return a real number as a plain int or float."""
    return int(number) if isinstance(number, Integral) else float(number)


def check_size(name: str, value: object, least: int, cure: str = "") -> int:
    """Check a size, and return the size as a plain int.

    Raises:
        ArgumentTypeError: `value` is no whole number.
        ArgumentError: `value` is less than `least`.
    """
    if is_whole(value, least):
        return int(value)
    error = ArgumentError if _is_number(value, Integral) else ArgumentTypeError
    raise error(name, f"is {value!r}", f"it must be a whole number, at least {least}", cure)


def keep_sizes(record: object, **least: int) -> None:
    """Check sizes among a frozen dataclass's fields, and keep them as plain ints.

    Args:
        record: the dataclass, while it is being made.
        least: the least value of each field, by its name.

    Raises:
        ArgumentError: see `check_size`.
    """
    for name, bound in least.items():
        object.__setattr__(record, name, check_size(name, getattr(record, name), bound))


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


def check_flag(name: str, value: object) -> None:
    """Raise `ArgumentTypeError` unless a value is a bool.

    Python would take any text for True, "False" too.
    """
    if not isinstance(value, bool):
        raise ArgumentTypeError(name, f"is {value!r}", "it must be True or False")


def _is_number(value: object, kind: type[Real]) -> TypeGuard[Real]:
    return isinstance(value, kind) and not isinstance(value, bool)
