"""Series as cut-offs with the steps ahead of them, for forecasts."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from throughtime.data.linear_past import LinearPast, base_of
from throughtime.data.past import Around, Floats, Past
from throughtime.data.series_arrays import SeriesArrays, picked

_BLOCK = 4096
"""Cut-offs that are looked at together."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ForecastArrays(SeriesArrays):
    """Series of which every step is a cut-off, with the next steps as its target.

    Windows are cut where a chunk is made, so that memory holds each step once.

    Attributes:
        inputs: [steps, features] what is read at each step.
        targets: [steps, targets] numbers, NaN where missing; logarithms where `logs` says so.
        ahead: H, how many steps are forecast.
        past: what is known of the targets at each step.
        around: what forecasts depart from.
        season: steps of a season.
        center: [targets] the mean that forecasts depart from, where it is the same everywhere; None for that of each
            series so far.
        counts: [steps, targets] whether the value of a step counts as a target.
        cutoffs: [steps] whether forecasts are made at a step.
        known: [steps + H series, features] what is known ahead: each series has H steps more.
        logs: [targets] whether a target is read as its logarithm.
        linear: the linear forecasts that others depart from, where `around` says so.
        asked: whether all H steps after a cut-off count, and no target is read.

    A chunk has the inputs [time, rows, features + H × (known features + pattern)], where the pattern is how far the
    seasonal naive forecasts are from the last value; and the targets [time, rows, 2 H + 2, targets]: scaled departures,
    what they depart from, the scale, and the unit of the loss.
    """

    ahead: int
    past: Past
    around: Around
    season: int
    center: Floats | None
    counts: NDArray[np.bool_]
    cutoffs: NDArray[np.bool_]
    known: NDArray[np.float32]
    logs: NDArray[np.bool_]
    linear: LinearPast | None = None
    asked: bool = False

    @property
    def counted(self) -> int:
        """Number of targets that count."""
        return int(self._counted_at.sum())

    @cached_property
    def _counted_at(self) -> NDArray[np.int64]:
        """How many targets count at each step [steps]."""
        if self.asked:
            return self.cutoffs * self.ahead * self.targets.shape[1]
        totals = np.concatenate([[0], np.cumsum(self.counts.sum(axis=1))])
        at = np.arange(self.steps)
        ends = np.minimum(at + 1 + self.ahead, self.past.places.ends)
        return np.where(self.cutoffs, totals[ends] - totals[at + 1], 0)

    def _counting_steps(self) -> NDArray[np.int64]:
        return np.flatnonzero(self._counted_at)

    @cached_property
    def _steps_ahead(self) -> NDArray[np.int64]:
        return np.arange(1, self.ahead + 1)

    def _read(
        self, at: NDArray[np.int64], series: NDArray[np.int64], valid: NDArray[np.bool_]
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]:
        values, mask = self.values_ahead(at)
        anchor, scale, unit = self.anchors(at), self.past.scale[at][..., None, :], self.past.unit[at][..., None, :]
        scaled = np.where(mask & ~self.asked, (np.nan_to_num(values) - anchor) / scale, 0)
        kind = np.float64 if self.asked else np.float32
        targets = np.concatenate([scaled, anchor, scale, unit], axis=-2).astype(kind)
        targets[~valid] = 0
        ahead = self._known_ahead(at, series).reshape(*at.shape, -1)
        inputs = np.concatenate([picked(self.inputs, at, valid), ahead], axis=-1)
        inputs[~valid] = 0
        return inputs, targets, mask & valid[..., None, None]

    def values_ahead(self, at: NDArray[np.int64]) -> tuple[Floats, NDArray[np.bool_]]:
        """Return the values [any shape, ahead, targets] after cut-offs, and whether each counts."""
        steps = at[..., None] + self._steps_ahead
        inside = steps < self.past.places.ends[at][..., None]
        steps = np.where(inside, steps, 0)
        counts = (inside & self.cutoffs[at][..., None])[..., None]
        if self.asked:
            counts = np.broadcast_to(self.cutoffs[at][..., None, None], (*steps.shape, self.targets.shape[1]))
            return np.zeros(counts.shape), counts
        return self.targets[steps], counts & self.counts[steps]

    def in_units(self, values: Floats) -> Floats:
        """Return values [any shape, targets] in the units in which they came."""
        return np.where(self.logs, np.exp(np.where(self.logs, values, 0)), values)

    def anchors(self, at: NDArray[np.int64]) -> Floats:
        """Return what forecasts at cut-offs depart from [any shape, ahead, targets]."""
        shape = (*at.shape, self.ahead, self.targets.shape[1])
        if self.linear is not None:
            base = base_of(self.past, at, self.season, self.ahead)
            return base + self.linear.departures(self.past, at, self.season)
        if self.around in ("season", "moved"):
            seasonal = self.past.seasonal(at, self._steps_ahead, self.season)
            change = self.past.last[at] - self.past.lagged(at, self.season)
            return seasonal if self.around == "season" else seasonal + change[..., None, :]
        if self.around == "last":
            return np.broadcast_to(self.past.last[at][..., None, :], shape)
        if self.center is not None:
            return np.broadcast_to(self.center, shape)
        return np.broadcast_to(self.past.mean[at][..., None, :], shape)

    def _known_ahead(self, at: NDArray[np.int64], series: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return what is known of the steps after cut-offs [any shape, ahead, features]."""
        known = self.known[(at + np.maximum(series, 0) * self.ahead)[..., None] + self._steps_ahead]
        if self.season == 1:
            return known
        last, scale = self.past.last[at][..., None, :], self.past.scale[at][..., None, :]
        pattern = (self.past.seasonal(at, self._steps_ahead, self.season) - last) / scale
        return np.concatenate([known, pattern.astype(np.float32)], axis=-1)

    def blocks(self) -> Iterator[NDArray[np.int64]]:
        """Yield the cut-offs that have targets, some at a time."""
        steps = self._counting_steps()
        return iter(np.array_split(steps, -(-len(steps) // _BLOCK))) if len(steps) else iter(())
