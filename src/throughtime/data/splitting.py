"""Parts of series: what is trained on, and what is held out."""

from collections import Counter
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from throughtime.data.columns import Column, Words
from throughtime.data.notes import named
from throughtime.data.series import SeriesSet
from throughtime.errors import ArgumentError, InputFileError
from throughtime.wording import listed, plural

Parts = tuple[SeriesSet, SeriesSet]
"""Training part and held-out part."""

TEST = "test"
"""Part of a file that is neither trained on nor held out for validation."""


def chosen_split(series: SeriesSet, asked: str, usual: str = "series", *, per_series: bool = False) -> str:
    """Return how series are split, "series", "time" or "file", where "auto" leaves it open.

    Parts that the file declares come first. A single series is split by time.

    Args:
        series: all of them.
        asked: "series", "time", "file" or "auto".
        usual: what the task does with several series.
        per_series: whether a series has a single target, after its last step, and so cannot be split by time.
    """
    if asked != "auto":
        return asked
    if any(series.parts):
        return "file"
    return "time" if len(series) == 1 and not per_series else usual


def split_series(series: SeriesSet, how: str, share: float, seed: int, classes: Column | None = None) -> Parts:
    """Return the training part and the held-out part of series.

    The notes of the training part tell how they came about.

    Args:
        series: all of them.
        how: "series", "time" or "file".
        share: the share that is held out.
        seed: of the draw of series or files.
        classes: the class of each series, see `held_out_series`.

    Raises:
        InputFileError: there is too little of what is split: series, steps or files.
        ArgumentError: the series come from a single file, or a series from several, and the split is by files.
    """
    if how == "time":
        return _by_time(series, share)
    if how == "file":
        return _by_parts(series, share, seed, classes) if any(series.parts) else _by_file(series, share, seed)
    held_out = held_out_series(series, share, seed, classes)
    said = f"{plural(int(held_out.sum()), 'series')} of {len(series):,}, drawn by the seed"
    aside = "; the parts that the file declares are mixed" if any(series.parts) else ""
    return _taken(series, held_out, said + aside)


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
        raise ArgumentError("part", f"is {part!r}", f"FILE {series.origin.name} has {has}", "leave it out")
    part = part or (TEST if TEST in known and len(known) > 1 else "")
    if not part:
        return series
    taken = series.take(np.flatnonzero(np.array(series.parts) == part))
    left = len(series) - len(taken)
    said = f"The part {part} of the file is read, {plural(len(taken), 'series')}; {left} of other parts are left out."
    return replace(taken, notes=[*series.notes, said])


def held_out_series(series: SeriesSet, share: float, seed: int, classes: Column | None = None) -> NDArray[np.bool_]:
    """Return which series are held out [series].

    They are drawn at random. Where the series have classes, each class of two series or more gives its share, and at
    least one in the rarest classes as long as two or more remain.

    Args:
        series: all of them.
        share: the share that is held out.
        seed: of the draw; the order of the series does not matter, their ids do.
        classes: the class of each series [series]; None: the labels of the series, if any. Numbers are no classes.

    Raises:
        InputFileError: there is a single series.
    """
    if len(series) < 2:
        raise InputFileError(
            f"{series.origin.name} holds a single series, so none can be held out for validation: give a file of "
            "several series, or name the column that tells them apart in `id`."
        )
    label = series.label if classes is None else classes
    order = _drawn([str(name) for name in series.ids], seed)
    numbers = label.numbers if isinstance(label, Words) else np.zeros(len(series), dtype=np.int32)
    held_out = np.zeros(len(series), dtype=bool)
    for number in np.unique(numbers):
        members = order[numbers[order] == number]
        held_out[members[: min(len(members) - 1, max(1, round(share * len(members))))]] = True
    if not held_out.any():  # every class has a single series
        held_out[order[: max(1, round(share * len(order)))]] = True
    return held_out


def _drawn(names: list[str], seed: int) -> NDArray[np.int64]:
    """Return the numbers of names in an order that depends on the names and the seed alone."""
    order = np.argsort(names, kind="stable")
    return order[np.random.default_rng(seed).permutation(len(order))]


def _taken(series: SeriesSet, held_out: NDArray[np.bool_], said: str) -> Parts:
    training = series.take(np.flatnonzero(~held_out))
    told = [*series.notes, f"Held out for validation: {said}."]
    return replace(training, notes=told), series.take(np.flatnonzero(held_out))


def without_ends(series: SeriesSet, ends: NDArray[np.int64]) -> Parts:
    """Return series without their ends, and series of which the ends alone count.

    Those without an end are in the first alone.

    Args:
        series: all of them.
        ends: [series] how many steps at the end of each are held out.
    """
    kept = series.lengths - ends
    return series.until(kept), replace(series, scored_from=kept).take(np.flatnonzero(ends))


def _by_time(series: SeriesSet, share: float) -> Parts:
    """Hold out the end of every series, before which its earlier steps are its past."""
    lengths = series.lengths
    ends = np.clip(np.rint(share * lengths).astype(np.int64), 1, np.maximum(lengths - 1, 0))
    if not ends.any():
        raise InputFileError(
            f"{series.origin.name}: no series has two steps or more, so the end of none can be held out for "
            "validation: give longer series."
        )
    training, held_out = without_ends(series, ends)
    alone = int((ends == 0).sum())
    short = f"; {plural(alone, 'series')} of a single step {'is' if alone == 1 else 'are'} trained on alone"
    said = f"the last {share:.3g} of the steps of every series, {int(ends.sum()):,} of {series.steps:,} steps"
    told = f"Held out for validation: {said}{short if alone else ''}."
    return replace(training, notes=[*series.notes, told]), held_out


def _by_parts(series: SeriesSet, share: float, seed: int, classes: Column | None) -> Parts:
    """Hold out what the file declares as its part for validation, or else a share of what is not for tests."""
    parts = np.array(series.parts)
    tests = np.flatnonzero(parts == "test")
    set_aside = f"; its test part, {plural(len(tests), 'series')}, is left out" if len(tests) else ""
    others = np.flatnonzero(parts != "test")
    rest = series.take(others)
    valid = np.array(rest.parts) == "valid"
    if valid.any() and not valid.all():
        return _taken(rest, valid, f"{plural(int(valid.sum()), 'series')}, as the file declares{set_aside}")
    if not len(rest):
        raise InputFileError(
            f"{series.origin.name} declares all its series as a test part, so there is none to train on: give the "
            "part for training, or `split` series to mix them."
        )
    drawn = held_out_series(rest, share, seed, None if classes is None else classes.take(others))
    said = f"{plural(int(drawn.sum()), 'series')} of {len(rest):,}, drawn by the seed from what the file is to train on"
    return _taken(rest, drawn, f"{said}{set_aside}")


def _by_file(series: SeriesSet, share: float, seed: int) -> Parts:
    files = list(dict.fromkeys(series.files))
    if "" in files:
        raise ArgumentError(
            "split",
            "is file",
            f"the series {series.ids[list(series.files).index('')]!r} comes from several files",
            "take series or time",
        )
    if len(files) < 2:
        raise ArgumentError(
            "split", "is file", f"{series.origin.name} is a single file without parts", "take series or time"
        )
    drawn = _drawn(files, seed)[: min(len(files) - 1, max(1, round(share * len(files))))]
    names = sorted(files[number] for number in drawn)
    held_out = np.isin(np.array(series.files), names)
    return _taken(series, held_out, f"{plural(len(names), 'file')} of {len(files):,}, {named(names)}")
