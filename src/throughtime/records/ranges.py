"""Ranges of the numbers in records, and the error for a value outside."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

_LONGEST = 60
"""Characters of a value that a message shows."""


class FieldError(ValueError):
    """Value that is not what its place in a file holds.

    Args:
        came: description of the value, with a verb: "is -1", "is missing".
        allowed: what it must be: "a whole number".
        path: its place, such as ".data.bytes".
    """

    def __init__(self, came: str, allowed: str, path: str = "") -> None:
        super().__init__(came, allowed, path)
        self.came, self.allowed, self.path = came, allowed, path

    def inside(self, part: str) -> "FieldError":
        """Return the same error with the place seen from one level higher."""
        return FieldError(self.came, self.allowed, part + self.path)

    def __str__(self) -> str:
        return f"{self.path.lstrip('.') or 'its content'} {self.came}; it must be {self.allowed}"


def shown(value: Any) -> str:
    """Return a value as a message shows it: on one line, and not too long."""
    try:
        text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, a nest of thousands of levels
        text = f"a huge {type(value).__name__}"
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


class Consistent(ABC):
    """Record whose parts must fit together; reading it from a file checks that."""

    @abstractmethod
    def check(self) -> None:
        """Raise `FieldError` where parts do not fit together."""


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, ends included; with `finite`, neither NaN nor infinite."""

    low: float = -math.inf
    high: float = math.inf
    finite: bool = True

    def check(self, value: float) -> None:
        """Raise `FieldError` for a number outside."""
        special = not self.finite and (math.isnan(value) or value == math.inf)
        if not (special or math.isfinite(value) and self.low <= value <= self.high):
            raise FieldError(f"is {shown(value)}", self.words)

    @property
    def words(self) -> str:
        """The range in words."""
        if math.isfinite(self.low) and math.isfinite(self.high):
            return f"from {self.low:g} to {self.high:g}"
        ends = [
            f"{name} {end:g}" for name, end in (("at least", self.low), ("at most", self.high)) if math.isfinite(end)
        ]
        return " and ".join([*(["finite"] if self.finite else []), *ends])


@dataclass(frozen=True)
class Printable:
    """Text without control characters or halves of surrogate pairs, which no font can draw."""

    def check(self, value: str) -> None:
        """Raise `FieldError` for a text that cannot be drawn."""
        if not value.isprintable():
            raise FieldError(f"is {shown(value)}", "printable text")


Label: TypeAlias = Annotated[str, Printable()]
"""Text that figures show."""
Finite: TypeAlias = Annotated[float, Range()]
"""Finite number."""
NotNegative: TypeAlias = Annotated[float, Range(0)]
"""Finite number, 0 or above."""
Norm: TypeAlias = Annotated[float, Range(0, finite=False)]
"""Number of 0 or above; infinite or NaN where what it measures was not finite."""
Share: TypeAlias = Annotated[float, Range(0, 1)]
"""Number from 0 to 1."""
PerhapsShare: TypeAlias = Annotated[float, Range(0, 1, finite=False)]
"""Number from 0 to 1, or NaN where there is nothing to count."""
Count: TypeAlias = Annotated[int, Range(0, finite=False)]
"""Whole number, 0 or above."""
Size: TypeAlias = Annotated[int, Range(1, finite=False)]
"""Whole number, 1 or above."""


def same_lengths(record: Any, first: str, second: str) -> None:
    """Raise `FieldError` where two lists of a record differ in length."""
    check_length(getattr(record, second), len(getattr(record, first)), f".{second}")


def check_length(entries: Any, wanted: int, path: str) -> None:
    """Raise `FieldError` where a list has not `wanted` entries."""
    if len(entries) != wanted:
        raise FieldError(f"has {len(entries)} entries", f"a list of {wanted}", path)
