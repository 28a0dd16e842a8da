"""Amounts of memory, as people write them."""

import re

from throughtime.errors import ArgumentError

UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def bytes_of(name: str, amount: str | int) -> int:
    """The bytes in 250_000_000 or "250MB"; `name` is the argument's, for the error."""
    if isinstance(amount, int) and not isinstance(amount, bool) and amount > 0:
        return amount
    parts = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT]?B)", amount) if isinstance(amount, str) else None
    if parts is None or not float(parts[1]):
        raise ArgumentError(
            f"{name} is {amount!r}; it must be a number of bytes above 0, or such as '256MB' or '1.5GB'"
        )
    return int(float(parts[1]) * UNITS[parts[2]])


def in_words(count: int) -> str:
    """1_500_000 → "1.5MB"."""
    unit = next((unit for unit in reversed(UNITS) if count >= UNITS[unit]), "B")
    return f"{count / UNITS[unit]:.3g}{unit}"
