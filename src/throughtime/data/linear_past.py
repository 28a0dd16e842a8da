"""Linear forecasts from the latest changes of a target, which a model can depart from."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from throughtime.data.past import Floats, Past

_MOST_CHANGES, _CHANGES = 24, 10
"""Changes that are read: those of the last season, but no more than the first; and where there is no season."""

_MOST_ROWS = 20_000
"""Cut-offs that weights are fitted to, spread evenly over the training part."""

_PENALTIES = (0.01, 0.1, 1.0, 10.0, 100.0)


@dataclass(frozen=True)
class LinearPast:
    """Linear forecasts from the latest changes.

    They depart from the value a season before, or from the last value where there is no season. The forecast of a
    target h steps after a cut-off is base_h + scale (w_h0 + Σ_i w_hi c_i), where c_i are the changes over a season of
    the last steps, or the changes from the last steps to now where there is no season, divided by the scale of the
    target at the cut-off.

    Attributes:
        weights: [targets][ahead][1 + changes].
    """

    weights: tuple[tuple[tuple[float, ...], ...], ...]

    def departures(self, past: Past, at: NDArray[np.int64], season: int) -> Floats:
        """Return forecasts at cut-offs, without their base [any shape, ahead, targets].

        Args:
            past: what is known at each step.
            at: [any shape] the cut-offs.
            season: steps of a season.
        """
        weights = np.array(self.weights)
        read = _changes(past, at, season, weights.shape[-1] - 1)
        return np.einsum("...tc,thc->...ht", read, weights) * past.scale[at][..., None, :]

    @classmethod
    def fit(cls, values: Floats, past: Past, season: int, ahead: int) -> "tuple[LinearPast, float] | None":
        """Return the forecasts with the least errors in a training part, and the mean error.

        Errors are those where each cut-off is left out, in spreads of the values; the penalty of the weights is that
        with the least. None: there are too few cut-offs with a whole past.

        Args:
            values: [steps, targets], NaN where missing.
            past: what is known at each step.
            season: steps of a season.
            ahead: steps of a forecast.
        """
        count = min(season, _MOST_CHANGES) if season > 1 else _CHANGES
        at = np.flatnonzero(np.arange(len(values)) - past.places.begins >= count + (season if season > 1 else 0))
        at = at[np.linspace(0, len(at) - 1, min(len(at), _MOST_ROWS)).astype(np.int64)] if len(at) else at
        if len(at) < 2 * (count + 1):
            return None
        read, base = _changes(past, at, season, count), base_of(past, at, season, ahead)
        weights, errors = [], []
        spread = np.nanstd(values, axis=0)
        units = past.scale / np.where(spread > 0, spread, 1.0)
        for target in range(values.shape[1]):
            of_target = []
            for step in range(ahead):
                inside = at + step + 1 < past.places.ends[at]
                rows = at[inside]
                away = (values[rows + step + 1, target] - base[inside, step, target]) / past.scale[rows, target]
                known = ~np.isnan(away)
                if known.sum() < 2 * (count + 1):
                    return None
                chosen, error = _ridge(read[inside, target][known], away[known], units[rows, target][known])
                of_target.append(tuple(chosen.tolist()))
                errors.append(error)
            weights.append(tuple(of_target))
        return cls(tuple(weights)), float(np.mean(errors))


def base_of(past: Past, at: NDArray[np.int64], season: int, ahead: int) -> Floats:
    """Return what linear forecasts depart from [any shape, ahead, targets]."""
    if season > 1:
        return past.seasonal(at, np.arange(1, ahead + 1), season)
    return np.repeat(past.last[at][..., None, :], ahead, axis=-2)


def _changes(past: Past, at: NDArray[np.int64], season: int, count: int) -> Floats:
    """Return 1 and the scaled changes at cut-offs [any shape, targets, 1 + changes]."""
    scale, read = past.scale[at], [np.ones(past.scale[at].shape)]
    for lag in range(count):
        if season > 1:
            change = past.lagged(at, lag) - past.lagged(at, lag + season)
        else:
            change = past.last[at] - past.lagged(at, lag + 1)
        read.append(change / scale)
    return np.stack(read, axis=-1)


def _ridge(read: Floats, away: Floats, units: Floats) -> tuple[Floats, float]:
    """Return the weights of ridge regression, and the mean error where each row is left out.

    The penalty is that with the least error.
    """
    gram, moment = read.T @ read, read.T @ away
    best: tuple[Floats, float] | None = None
    for penalty in _PENALTIES:
        loaded = gram + penalty * np.diag([1e-9, *np.ones(read.shape[1] - 1)])
        inverse = np.linalg.inv(loaded)
        weights = inverse @ moment
        leverage = np.einsum("ij,jk,ik->i", read, inverse, read)
        error = float(np.abs(units * (away - read @ weights) / np.maximum(1 - leverage, 1e-6)).mean())
        if best is None or error < best[1]:
            best = weights, error
    assert best is not None
    return best
