"""The past of targets at every step: last values, running means and sizes of departures.

Nothing here depends on a later step: what a forecast is scaled by is known where it is made.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from throughtime.data.columns import Numbers
from throughtime.data.running import divisor
from throughtime.errors import InputFileError

Floats = NDArray[np.float64]

Around = Literal["nothing", "last", "season", "moved", "linear", "zero"]
"""What forecasts depart from: a mean, the last value, the value a season before, this moved by the change over the last
season, a linear forecast from the latest changes, or 0 for counts."""

_PRIOR = 3.0
"""Steps that the training part's typical departure counts for, beside those of the series itself."""

_NEAR_ZERO, _STEADIER = 0.02, 0.2
"""Least value for logarithms, as a share of the largest, and how much steadier these must be."""

_LEAST = 1e-3
"""Least typical departure, as a share of the size of the values."""


@dataclass(frozen=True)
class TargetScale:
    """Scale of a target in the training part.

    Attributes:
        name: of the column.
        mean, spread: of all its values, or of their logarithms.
        size: the median over the series of the mean size of their values.
        ratio: the typical departure of a series, see `Around`, as a share of the size of its values.
        unit_ratio: likewise the typical change over a season.
        departure: the mean departure over all series.
        whole: whether the values came as whole numbers.
        gaps: whether some were missing.
        log: whether it is read as its logarithm, as are mean, spread, ratio and departure then.
    """

    name: str
    mean: float
    spread: float
    size: float
    ratio: float
    unit_ratio: float
    departure: float
    whole: bool = False
    gaps: bool = False
    log: bool = False

    @classmethod
    def fit(
        cls, name: str, column: Numbers, places: "Places", around: Around, season: int, *, log: bool = False
    ) -> "TargetScale":
        """Return the scale of a target, from its training part.

        Raises:
            InputFileError: the target is missing everywhere.
        """
        if column.missing.all():
            raise InputFileError(f"The target {name} is missing everywhere in the training part.")
        came = column.values[:, None]
        values = np.log(came) if log else came
        mean, spread = float(np.nanmean(values)), float(np.nanstd(values))
        sizes = np.array([_mean(np.abs(came[a:b])) for a, b in pairwise(places.starts.tolist())])
        away = np.abs(departures(values, places, around, season))
        changes = np.abs(departures(came, places, "season", season))
        typical = float(np.nanmedian(sizes)) or float(np.nanmean(sizes)) or 1.0
        return cls(
            name,
            mean,
            divisor(spread, mean),
            typical,
            1.0 if log else _ratio(away, sizes, places),
            _ratio(changes, sizes, places),
            max(_mean(away, 1.0), _LEAST) if log else max(_mean(away, typical), _LEAST * typical),
            column.whole,
            bool(column.missing.any()),
            log,
        )


@dataclass(frozen=True)
class Places:
    """Place of each step in its series.

    Attributes:
        starts: [series + 1] the first step of each series, and the number of steps.
        begins, ends: [steps] the first step, and the step after the last, of the piece without a gap around each step.
    """

    starts: NDArray[np.int64]
    begins: NDArray[np.int64]
    ends: NDArray[np.int64]

    @classmethod
    def of(cls, starts: NDArray[np.int64], breaks: NDArray[np.int64] | None = None) -> "Places":
        """Return the places in series that begin at `starts`, and anew at `breaks`."""
        cuts = np.unique(np.concatenate([starts, np.zeros(0, dtype=np.int64) if breaks is None else breaks]))
        lengths = np.diff(cuts)
        return cls(starts, np.repeat(cuts[:-1], lengths), np.repeat(cuts[1:], lengths))

    @property
    def series_begins(self) -> NDArray[np.int64]:
        """The first step of the series of each step [steps]."""
        return np.repeat(self.starts[:-1], np.diff(self.starts))

    @property
    def of_step(self) -> NDArray[np.int64]:
        """Number of the series of each step [steps]."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))


@dataclass(frozen=True)
class Past:
    """Last values, means and scales of targets, known at each step.

    Attributes:
        places: of the steps.
        last: [steps, targets] the last value that was observed; before the first, the mean of the training part.
        mean: [steps, targets] the mean of all values so far.
        scale: [steps, targets] by which departures are divided.
        unit: [steps, targets] the mean change over a season so far, the unit of the loss.
    """

    places: Places
    last: Floats
    mean: Floats
    scale: Floats
    unit: Floats

    def lagged(self, at: NDArray[np.int64], lag: int) -> Floats:
        """Return the values some steps before steps [any shape].

        Where there is none, it is the last value at the step.
        """
        earlier = at - lag
        inside = earlier >= self.places.begins[at]
        return np.where(inside[..., None], self.last[np.where(inside, earlier, 0)], self.last[at])

    def season_change(self, season: int) -> Floats:
        """Return the mean change over a season, of the last season's steps [steps, targets]."""
        at = np.arange(len(self.last))
        change = self.last - self.lagged(at, season)
        mean = np.zeros_like(change)
        for piece in _pieces(self.places):
            sums = np.cumsum(change[piece], axis=0)
            counts = np.minimum(np.arange(1, len(sums) + 1), season)[:, None]
            mean[piece] = np.concatenate([sums[:season], sums[season:] - sums[:-season]]) / counts
        return mean

    def seasonal(self, at: NDArray[np.int64], ahead: NDArray[np.int64], season: int) -> Floats:
        """Return the seasonal naive forecasts at steps.

        Args:
            at: [any shape] the cut-offs.
            ahead: [ahead] numbers of steps after them, from 1 on.
            season: steps of a season.

        Returns:
            The values [any shape, ahead, targets] of whole seasons before; where there is none, the last.
        """
        lags = season * -(-ahead // season) - ahead
        return np.stack([self.lagged(at, int(lag)) for lag in lags], axis=-2)


def past_of(
    came: Floats,
    places: Places,
    scales: list[TargetScale],
    around: Around,
    season: int,
    by: Literal["none", "global", "series"],
) -> Past:
    """Return what is known of targets at each step.

    Args:
        came: [steps, targets], NaN where missing.
        places: of the steps.
        scales: of the training part, per target.
        around: what forecasts depart from.
        season: steps of a season.
        by: what departures are divided by: 1, the mean departure of the training part, or that of the series so far.
    """
    values = read_as(came, scales)
    mean = np.array([scale.mean for scale in scales])
    size = np.array([scale.size for scale in scales])
    rows = np.arange(len(values))[:, None]
    latest = np.maximum.accumulate(np.where(np.isnan(values), -1, rows))
    last = np.where(
        latest >= places.series_begins[:, None], np.take_along_axis(values, np.maximum(latest, 0), axis=0), mean
    )
    sizes, _ = _running(np.abs(came), places)
    sizes = np.where(sizes > 0, sizes, size)
    unit = _typical(
        departures(came, places, "season", season), places, sizes * np.array([s.unit_ratio for s in scales])
    )
    if by == "series":
        # A change of a logarithm does not grow with the size of the values.
        usual = np.where([s.log for s in scales], [s.departure for s in scales], sizes * [s.ratio for s in scales])
        scale = _typical(departures(values, places, around, season), places, usual)
    else:
        scale = np.broadcast_to([1.0 if by == "none" else s.departure for s in scales], values.shape)
    running, counts = _running(values, places)
    return Past(places, last, np.where(counts > 0, running, mean), scale, unit)


def departures(values: Floats, places: Places, around: Around, season: int) -> Floats:
    """Return how far each value is from what came before it [steps, targets].

    NaN stands where that is not known.
    """
    if around == "zero":
        return values
    if around == "nothing":
        running, counts = _running(values, places)
        before = np.vstack([np.full((1, values.shape[1]), np.nan), np.where(counts > 0, running, np.nan)[:-1]])
        before[places.starts[:-1]] = np.nan
        return values - before
    if around == "moved":
        return moved_departures(values, places, season, 1)
    return lagged_departures(values, places, season if around in ("season", "linear") else 1)


def moved_departures(values: Floats, places: Places, season: int, ahead: int) -> Floats:
    """Return how far values are from those whole seasons before, moved by a season's change.

    The change is that over the season before the cut-off. NaN stands where a value is not known.

    Args:
        values: [steps, targets].
        places: of the steps.
        season: steps of a season.
        ahead: steps from the cut-off to the value.
    """
    before, at = lagged_departures(values, places, season), np.arange(len(values))
    inside = at - ahead >= places.begins
    moved = np.where(inside[:, None], before[np.where(inside, at - ahead, 0)], np.nan)
    return lagged_departures(values, places, season * -(-ahead // season)) - moved


def lagged_departures(values: Floats, places: Places, lag: int) -> Floats:
    """Return the change of each value over some steps [steps, targets].

    NaN stands where the earlier value is not known.
    """
    at = np.arange(len(values))
    inside = at - lag >= places.begins
    return np.where(inside[:, None], values - values[np.where(inside, at - lag, 0)], np.nan)


def _running(values: Floats, places: Places) -> tuple[Floats, Floats]:
    """Return mean and number of the values so far in each series [steps, targets]; the mean is 0 before the first."""
    sums, counts = np.zeros_like(values), np.zeros_like(values)
    # Series by series, so that rounding is that of the series alone, whatever stands before it.
    for piece in _pieces(places):
        present = ~np.isnan(values[piece])
        counts[piece] = np.cumsum(present, axis=0)
        sums[piece] = np.cumsum(np.where(present, values[piece], 0), axis=0)
    return sums / np.maximum(counts, 1), counts


def read_as(came: Floats, scales: list[TargetScale]) -> Floats:
    """Return targets as they are read [steps, targets]: some as logarithms."""
    logs = np.array([scale.log for scale in scales])
    return np.where(logs, np.log(np.where(logs, came, 1.0)), came)


def log_is_steadier(column: Numbers, places: Places) -> bool:
    """Return whether changes grow with the level, but not in logarithms.

    Values near 0 or below it have no such logarithms.
    """
    values = column.values[:, None]
    present = values[~np.isnan(values)]
    if not len(present) or present.min() <= _NEAR_ZERO * present.max() or present.min() <= 0:
        return False
    plain, logarithmic = (_growth_of_changes(each, places) for each in (values, np.log(values)))
    return abs(logarithmic) + _STEADIER < abs(plain)


def _growth_of_changes(values: Floats, places: Places) -> float:
    """Return the logarithm of how much larger changes are in the higher half of each series than in the lower."""
    away, (levels, _) = np.abs(lagged_departures(values, places, 1)), _running(values, places)
    middles = np.concatenate([np.full(piece.stop - piece.start, np.median(levels[piece])) for piece in _pieces(places)])
    high = levels[:, 0] > middles
    sizes = [_mean(away[side], 0.0) for side in (high, ~high)]
    return float(np.log(sizes[0] / sizes[1])) if min(sizes) > 0 else 0.0


def _typical(away: Floats, places: Places, usual: Floats) -> Floats:
    """Return the mean departure so far, with the training part's as if some steps before."""
    mean, counts = _running(np.abs(away), places)
    return (mean * counts + _PRIOR * usual) / (counts + _PRIOR)


def _ratio(away: Floats, sizes: Floats, places: Places) -> float:
    means = np.array([_mean(away[piece]) for piece in _pieces(places)])
    known = np.flatnonzero(~np.isnan(means) & (sizes > 0))
    return max(_LEAST, float(np.median(means[known] / sizes[known]))) if len(known) else 1.0


def _pieces(places: Places) -> Iterator[slice]:
    return (slice(a, b) for a, b in pairwise(places.starts.tolist()))


def _mean(values: Floats, otherwise: float = float("nan")) -> float:
    """Return the mean of the values that are present."""
    present = values[~np.isnan(values)]
    return float(present.mean()) if len(present) else otherwise
