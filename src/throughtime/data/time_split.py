"""Series split by time: the end of each is held out."""

import numpy as np

from throughtime.data.series import SeriesSet
from throughtime.data.splitting import without_ends
from throughtime.errors import InputFileError

_SHORTEST = 4
"""Steps of the shortest series of which some are held out."""


def ends_held_out(series: SeriesSet, share: float, ahead: int) -> tuple[SeriesSet, SeriesSet]:
    """Return series without their ends, and series of which the ends alone count.

    A share of each series is held out, or the steps of a forecast where these are more, and a third at most. Series of
    less than four steps are trained on as a whole.

    Args:
        series: all of them.
        share: the share that is held out.
        ahead: steps of a forecast.

    Raises:
        InputFileError: all series are too short.
    """
    lengths = series.lengths
    wanted = np.maximum(np.rint(share * lengths).astype(np.int64), ahead)
    held_out = np.where(lengths < _SHORTEST, 0, np.minimum(wanted, np.maximum(lengths // 3, 1)))
    if not held_out.any():
        raise InputFileError(
            f"{series.origin.name} holds no series of {_SHORTEST} steps or more, so no end can be held out for "
            "validation: give longer series, or name the column that tells series apart in `id`."
        )
    return without_ends(series, held_out)
