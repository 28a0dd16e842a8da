"""Scores of forecasts, summed up as they come."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass
class ForecastScores:
    """Sums over forecasts, from which the scores are taken.

    Attributes:
        levels: of the quantiles that are scored.
        count: how many forecasts there were.
    """

    levels: Sequence[float]
    count: int = 0
    _sums: dict[str, float] = field(default_factory=dict)

    def add(self, values: Floats, median: Floats, quantiles: Floats, crps: Floats, unit: Floats) -> None:
        """Add forecasts.

        Args:
            values: [forecasts] what came.
            median: [forecasts] what was predicted.
            quantiles: [forecasts, levels].
            crps: [forecasts] the continuous ranked probability score of each.
            unit: [forecasts] the mean change over a season before the forecast.
        """
        errors, at = values - median, np.array(self.levels)
        sizes = np.abs(values) + np.abs(median)
        away = values[:, None] - quantiles
        sums = {
            "absolute": np.abs(errors).sum(),
            "square": np.square(errors).sum(),
            "symmetric": np.divide(2 * np.abs(errors), sizes, out=np.zeros_like(sizes), where=sizes > 0).sum(),
            "share": np.divide(np.abs(errors), np.abs(values), out=np.zeros_like(sizes), where=values != 0).sum(),
            "zeros": float((values == 0).sum()),
            "scaled": (np.abs(errors) / unit).sum(),
            "scaled square": np.square(errors / unit).sum(),
            "quantile": np.maximum(at * away, (at - 1) * away).mean(axis=1).sum(),
            "crps": crps.sum(),
            "scaled crps": (crps / unit).sum(),
            "inside": ((values >= quantiles[:, 0]) & (values <= quantiles[:, -1])).sum(),
        }
        self._sums = {name: self._sums.get(name, 0.0) + float(total) for name, total in sums.items()}
        self.count += len(values)

    @property
    def loss(self) -> float:
        """Mean CRPS in units of the mean change over a season."""
        return self._sums["scaled crps"] / self.count

    def named(self) -> dict[str, float]:
        """Return the scores by name; shares are of 1. MAPE is left out where a value is 0."""
        mean = {name: total / self.count for name, total in self._sums.items()}
        inside = f"coverage of {self.levels[-1] - self.levels[0]:.0%}"
        return {
            "MAE": mean["absolute"],
            "RMSE": float(np.sqrt(mean["square"])),
            **({} if self._sums["zeros"] else {"MAPE": mean["share"]}),
            "sMAPE": mean["symmetric"],
            "MASE": mean["scaled"],
            "RMSSE": float(np.sqrt(mean["scaled square"])),
            "quantile loss": mean["quantile"],
            **({inside: mean["inside"]} if len(self.levels) > 1 else {}),
            "CRPS": mean["crps"],
        }
