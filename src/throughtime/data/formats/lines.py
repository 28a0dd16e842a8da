"""Series that stand in a line each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from throughtime.data.columns import Words
from throughtime.data.formats.assembly import words_of
from throughtime.data.formats.base import Raw
from throughtime.wording import listed, plural


@dataclass(frozen=True)
class SeriesLine:
    """Series in a line of a file.

    Attributes:
        line: the line, counted from 1.
        table: [steps, dimensions].
        whole: [dimensions] whether all numbers have neither a decimal point nor an exponent.
        label: the text of the class or target; "" without one.
        times: [steps]; None without times.
    """

    line: int
    table: NDArray[np.float64]
    whole: list[bool]
    label: str = ""
    times: NDArray[np.datetime64] | None = None


def check_dimensions(raw: Raw, first: SeriesLine, case: SeriesLine) -> None:
    """Raise `InputFileError` where a series has not as many dimensions as the first."""
    width, expected = case.table.shape[1], first.table.shape[1]
    if width != expected:
        raise raw.wrong(
            case.line,
            f"the line has {plural(width, 'dimension')}, and line {first.line} has {expected}; all series must "
            "have the same number",
        )


def classes_of(raw: Raw, cases: Sequence[SeriesLine], classes: Sequence[str]) -> Words:
    """Return the class of each series; "?" is a missing class.

    Args:
        raw: the file.
        cases: the series.
        classes: the classes that the header declares; empty where it declares none.

    Raises:
        InputFileError: a class is empty, or is not declared.
    """
    for case in cases:
        if case.label != "?" and (not case.label or (classes and case.label not in classes)):
            allowed = f"one that the header declares: {listed(classes, 'or')}" if classes else "a word"
            raise raw.wrong(
                case.line, f"the class is {case.label[:40]!r}; it must be {allowed}, or ? where it is missing"
            )
    return words_of([None if case.label == "?" else case.label for case in cases], classes)
