"""Options of a run, each declared at the field of a settings class."""

import math
from collections.abc import Iterator
from dataclasses import Field, dataclass, field, fields
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from throughtime.errors import ArgumentError
from throughtime.records.ranges import shown


@dataclass(frozen=True)
class Option:
    """Facts about an option beside its name, type and default.

    Attributes:
        help: one or more sentences for the command line.
        low: the lower end of what is allowed.
        high: the upper end, never allowed itself.
        closed: whether the lower end itself is allowed.
        online: whether a run that learns from a stream has a use for it.
        resumable: whether a continuation may change it; if not, another value makes another run.
        former: the default of earlier versions, which their folders hold; None where it has not changed.
    """

    help: str
    low: float
    high: float
    closed: bool
    online: bool
    resumable: bool
    former: Any = None

    def holds(self, value: float) -> bool:
        """Return whether a number is in range."""
        return (self.low <= value if self.closed else self.low < value) and value < self.high

    def allowed(self, kind: type) -> str:
        """Return the allowed range of an int or float in words."""
        lower = "" if self.low == -math.inf else f"{'at least' if self.closed else 'above'} {self.low:g}"
        unbounded = "" if kind is int and lower else "finite"
        upper = unbounded if self.high == math.inf else f"below {self.high}"
        return f"it must be {' and '.join(part for part in (lower, upper) if part)}"


_WORDS = {bool: "True or False", str: "text", int: "a whole number", float: "a number"}
"""Types of options that are no choice, in words."""


def option(
    default: Any,
    text: str,
    *,
    least: float | None = None,
    above: float = -math.inf,
    below: float | None = None,
    online: bool = True,
    resumable: bool = False,
    former: Any = None,
) -> Any:
    """Declare an option as the field of a settings class.

    The field's type must be bool, int, float, str or a Literal, or one of these except bool with `| None`.

    Args:
        default: its value where none is given.
        text: the help; names of other options stand in backticks.
        least: the smallest value that is allowed; None: every value above `above` is.
        above: where `least` is None, the largest value that is too small.
        below: the smallest value that is too large; None: of whole numbers 2**31, so that products of them stay
            numbers of the machine.
        online: whether a run that learns from a stream has a use for it.
        resumable: whether a continuation may change it.
        former: the default of earlier versions; None where it has not changed.
    """
    low = above if least is None else least
    if below is None:
        below = 2**31 if isinstance(default, int) and not isinstance(default, bool) else math.inf
    told = Option(text, low, below, least is not None, online, resumable, former)
    return field(default=default, metadata={"option": told})


def options(kind: type) -> Iterator[tuple[Field[Any], Any, Option]]:
    """Yield each option of a settings class: field, type and facts."""
    hints = get_type_hints(kind)
    for entry in fields(kind):
        yield entry, hints[entry.name], entry.metadata["option"]


def check_options(settings: Any) -> None:
    """Check type and range of every option; raise `ArgumentError` for the first misfit."""
    for entry, hint, told in options(type(settings)):
        value, plain = getattr(settings, entry.name), _without_none(hint)
        if value is not None or plain is hint:
            _check(entry.name, value, plain, told)


def check_types(kind: type) -> None:
    """Raise `ArgumentError` where an option of a settings class has an unsupported type."""
    for name, hint in get_type_hints(kind).items():
        plain = _without_none(hint)
        if not (plain in _WORDS or get_origin(plain) is Literal) or (plain is bool and plain is not hint):
            raise ArgumentError(
                f"{kind.__name__}.{name}",
                f"is of the type {getattr(hint, '__name__', hint)}",
                "an option is a bool, int, float, str or Literal, or one of the last four with `| None`",
            )


def _without_none(hint: Any) -> Any:
    """Return the type X of an optional type `X | None`; any other type as it is."""
    members = [member for member in get_args(hint) if member is not NoneType]
    return members[0] if NoneType in get_args(hint) and len(members) == 1 else hint


def _check(name: str, value: Any, hint: Any, told: Option) -> None:
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            came = value if isinstance(value, str) and value.isidentifier() else shown(value)
            raise ArgumentError(name, f"is {came}", f"it must be one of {', '.join(map(str, get_args(hint)))}")
        return
    # bool is an int to Python, and an int serves where a float is meant.
    fits = {bool: bool, str: str, int: int, float: (int, float)}[hint]
    if not isinstance(value, fits) or (hint is not bool and isinstance(value, bool)):
        raise ArgumentError(name, f"is {shown(value)}", f"it must be {_WORDS[hint]}")
    if hint in (int, float) and not told.holds(value):
        raise ArgumentError(name, f"is {shown(value)}", told.allowed(hint))
