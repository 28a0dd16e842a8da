"""Lines of a table, and values that JSON can hold."""

from collections.abc import Sequence
from math import isfinite
from typing import Any


def aligned(texts: Sequence[str], widths: Sequence[int]) -> str:
    """Return one line of a table.

    Args:
        texts: the entries, from the left; there may be fewer than columns.
        widths: letters of each column; negative for a column that is flush left.
    """
    pairs = zip(texts, widths, strict=False)
    return "".join(text.ljust(-width) if width < 0 else text.rjust(width) for text, width in pairs)


def finite(value: Any) -> Any:
    """Return a nest in which "nan", "inf" or "-inf" replace such numbers."""
    if isinstance(value, dict):
        return {key: finite(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [finite(member) for member in value]
    return str(value) if isinstance(value, float) and not isfinite(value) else value
