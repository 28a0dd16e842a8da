"""Series that are held out, chosen so that every class has some."""

import numpy as np
from numpy.typing import NDArray

from throughtime.data.columns import Words
from throughtime.data.series import SeriesSet
from throughtime.errors import InputFileError


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
