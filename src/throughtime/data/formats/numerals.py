"""Numbers written as text."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from throughtime.data.formats.base import Raw

MISSING = ("?", "nan")
"""Spellings of a missing value, in small letters."""

_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")


def read_numbers(raw: Raw, line: int, fields: Sequence[str], place: str) -> NDArray[np.float64]:
    """Return the numbers [fields] of some fields; NaN where a value is missing.

    Args:
        raw: the file.
        line: the line of the fields, for messages.
        fields: the text of each number.
        place: where in the line they stand, for messages: "dimension 2".

    Raises:
        InputFileError: a field is empty, infinite or no number.
    """
    try:
        values = np.array(list(map(float, fields)), dtype=np.float64)
    except ValueError:
        return _read_slowly(raw, line, fields, place)
    # Python takes 1_000 for a number, which no format of data does.
    if np.isinf(values).any() or any("_" in field for field in fields):
        return _read_slowly(raw, line, fields, place)
    return values


def read_number(raw: Raw, line: int, field: str, place: str) -> float:
    """Return the number of a field; NaN where it is missing. Raises `InputFileError` as `read_numbers` does."""
    text = field.strip()
    if text.lower() in MISSING:
        return float("nan")
    if not text:
        raise raw.wrong(line, f"{place} is empty; write a number, or ? where it is missing")
    try:
        value = float(text)
    except ValueError:
        value = None
    if value is None or "_" in text:
        cure = "write a point for the decimal comma" if _DECIMAL_COMMA.fullmatch(text) else "or ? where it is missing"
        raise raw.wrong(line, f"{place} is {text[:40]!r}; it must be a number, {cure}")
    if np.isinf(value):
        raise raw.wrong(line, f"{place} is {text[:40]}; it must be finite: write ? where it is missing")
    return value


def _read_slowly(raw: Raw, line: int, fields: Sequence[str], place: str) -> NDArray[np.float64]:
    numbers = [read_number(raw, line, field, f"value {at} of {place}") for at, field in enumerate(fields, start=1)]
    return np.array(numbers, dtype=np.float64)


def is_whole(text: str) -> bool:
    """Return whether the numbers of a text have neither a decimal point nor an exponent."""
    return not any(sign in text for sign in ".eE")
