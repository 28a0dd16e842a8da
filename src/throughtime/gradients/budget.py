"""Sizes of memory in words, such as "256MB"."""

import re

from throughtime.checks import is_whole
from throughtime.errors import ArgumentError

UNITS = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def bytes_of(memory: int | str, name: str = "memory") -> int:
    """Convert a size such as "1.5GB" to bytes.

    Args:
        memory: a whole number of bytes, or a number with a unit of `UNITS`.
        name: the argument's name, for the error.

    Raises:
        ArgumentError: `memory` is neither, or less than one byte.
    """
    parsed = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(\w+)\s*", memory) if isinstance(memory, str) else None
    if parsed and parsed[2] in UNITS:
        count = int(float(parsed[1]) * UNITS[parsed[2]])
    else:
        count = int(memory) if is_whole(memory, least=1) else 0
    if count < 1:
        raise ArgumentError(
            name,
            f"is {memory!r}",
            f"it must be a whole number of bytes, at least 1, or a number with a unit ({', '.join(UNITS)}), such as "
            "'256MB'",
        )
    return count


def in_words(count: int) -> str:
    """Return a number of bytes with three digits and a unit, such as "1.31 MB"."""
    unit = next(unit for unit in ("GB", "MB", "kB", "B") if count >= UNITS[unit] or unit == "B")
    return f"{count / UNITS[unit]:.3g} {unit}"
