"""Series that are held out.

They are those that a file puts apart, or a share chosen so that every class has some.
"""

from collections import Counter
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from throughtime.data.columns import Words
from throughtime.data.series import SeriesSet
from throughtime.errors import ArgumentError, InputFileError
from throughtime.wording import listed, plural

TRAIN, VALID, TEST = "train", "valid", "test"
"""Parts that a file can put its series in."""


def in_parts(series: SeriesSet) -> tuple[SeriesSet, SeriesSet | None]:
    """Return the series to train on, and those that the file itself holds out.

    The latter are None where the file holds none out. Series of the part "test" are in neither. Where every series is
    of the parts "valid" and "test", as in a file of such a part alone, all are there to train on.
    """
    parts = np.array(series.parts)
    training = ~np.isin(parts, (VALID, TEST))
    if not training.any():
        return series, None
    held_out = parts == VALID
    return series.take(np.flatnonzero(training)), series.take(np.flatnonzero(held_out)) if held_out.any() else None


def part_of_series(series: SeriesSet, part: str = "") -> SeriesSet:
    """Return the series of a part, with a note on how many there are.

    Args:
        series: all series of a file.
        part: "train", "valid" or "test"; "": test where the file has that beside others, else all series.

    Raises:
        ArgumentError: the file has no such part.
    """
    known = Counter(series.parts)
    if part and part not in known:
        has = f"the parts {listed(filter(None, known))}" if any(known) else "no parts"
        raise ArgumentError("part", f"is {part}", f"FILE {series.origin.name} has {has}", "leave it out")
    part = part or (TEST if TEST in known and len(known) > 1 else "")
    if not part:
        return series
    taken = series.take(np.flatnonzero(np.array(series.parts) == part))
    left = len(series) - len(taken)
    said = f"The part {part} of the file is read, {plural(len(taken), 'series')}; {left} of other parts are left out."
    return replace(taken, notes=[*series.notes, said])


def parts_note(series: SeriesSet) -> list[str]:
    """Return a sentence on what each part of a file is for.

    Where the file keeps no parts apart it is left out.
    """
    training, held_out = in_parts(series)
    if len(training) == len(series):
        return []
    apart = f", {plural(len(held_out), 'series')} held out" if held_out is not None else ""
    left = series.parts.count(TEST)
    kept = f", {plural(left, 'series')} of the part test left for the end (evaluate)" if left else ""
    return [f"The file has parts of its own: {plural(len(training), 'series')} to train on{apart}{kept}."]


def held_out_series(series: SeriesSet, share: float, seed: int) -> NDArray[np.bool_]:
    """Return which series are held out [series].

    They are drawn at random. Where the series have classes, each class of two series or more gives its share, and at
    least one in the rarest classes as long as two or more remain.

    Args:
        series: all of them.
        share: the share that is held out.
        seed: of the draw; the order of the series does not matter, their ids do.

    Raises:
        InputFileError: there is a single series.
    """
    if len(series) < 2:
        raise InputFileError(
            f"{series.origin.name} holds a single series, so none can be held out for validation: give a file of "
            "several series, or name the column that tells them apart in `id`."
        )
    order = np.argsort([str(name) for name in series.ids], kind="stable")
    order = order[np.random.default_rng(seed).permutation(len(order))]
    classes = series.label.numbers if isinstance(series.label, Words) else np.zeros(len(series), dtype=np.int32)
    held_out = np.zeros(len(series), dtype=bool)
    for number in np.unique(classes):
        members = order[classes[order] == number]
        held_out[members[: min(len(members) - 1, max(1, round(share * len(members))))]] = True
    if not held_out.any():  # every class has a single series
        held_out[order[: max(1, round(share * len(order)))]] = True
    return held_out
