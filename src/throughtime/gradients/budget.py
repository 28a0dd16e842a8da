"""Memory in words: "256MB" and back."""

import re

from throughtime.errors import ArgumentError

UNITS = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def bytes_of(memory: int | str, name: str = "memory") -> int:
    """How many bytes `memory` is: a whole number of them, or a number with a unit of `UNITS`, "1.5GB".

    `name` is the argument's, for the error.

    Raises:
        ArgumentError: for anything else, and for less than one byte.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(\w+)\s*", memory) if isinstance(memory, str) else None
    if found and found[2] in UNITS:
        count = int(float(found[1]) * UNITS[found[2]])
    else:
        count = memory if isinstance(memory, int) and not isinstance(memory, bool) else 0
    if count < 1:
        raise ArgumentError(
            f"{name} is {memory!r}; it must be a whole number of bytes, at least 1, or a number with a unit "
            f"({', '.join(UNITS)}), such as '256MB'"
        )
    return count


def in_words(count: int) -> str:
    """`count` bytes with three digits and a unit: "1.31 MB"."""
    unit = next(unit for unit in ("GB", "MB", "kB", "B") if count >= UNITS[unit] or unit == "B")
    return f"{count / UNITS[unit]:.3g} {unit}"
