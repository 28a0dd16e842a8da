"""Naive forecasts, with which a model is compared."""

import numpy as np
from numpy.typing import NDArray

from throughtime.data.forecast_arrays import ForecastArrays
from throughtime.data.past import Floats


def naive_forecasts(arrays: ForecastArrays, at: NDArray[np.int64]) -> dict[str, Floats]:
    """Return naive forecasts at cut-offs, by name [cut-offs, ahead, targets].

    They are the last value; the value a season before, where there are seasons; the last value with the mean change
    so far; the mean so far; and the linear forecast that others depart from, if they do. Of logarithms the mean is
    geometric.
    """
    past, ahead = arrays.past, np.arange(1, arrays.ahead + 1)
    last, mean = (arrays.in_units(part[at])[:, None] for part in (past.last, past.mean))
    begins = past.places.begins[at]
    change = (last[:, 0] - arrays.in_units(past.last[begins])) / np.maximum(at - begins, 1)[:, None]
    flat = np.zeros((1, arrays.ahead, 1))
    forecasts = {
        "naive": last + flat,
        "seasonal naive": arrays.in_units(past.seasonal(at, ahead, arrays.season)),
        "drift": last + change[:, None] * ahead[:, None],
        "mean": mean + flat,
    }
    if arrays.season == 1:
        del forecasts["seasonal naive"]
    if arrays.linear is not None:
        forecasts["linear"] = arrays.in_units(arrays.anchors(at))
    return forecasts


def naive_losses(arrays: ForecastArrays) -> dict[str, float]:
    """Return the mean absolute errors of naive forecasts by name, the worst first.

    They are in units of the loss.
    """
    sums: dict[str, float] = {}
    for at in arrays.blocks():
        values, counts = arrays.values_ahead(at)
        unit = arrays.past.unit[at][:, None]
        for name, forecast in naive_forecasts(arrays, at).items():
            errors = np.where(counts, np.abs(arrays.in_units(np.nan_to_num(values)) - forecast) / unit, 0)
            sums[name] = sums.get(name, 0.0) + float(errors.sum())
    return dict(sorted(((name, total / arrays.counted) for name, total in sums.items()), key=lambda pair: -pair[1]))
