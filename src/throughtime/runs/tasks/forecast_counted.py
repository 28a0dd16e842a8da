"""Forecasts that count, flat, and their way back into the unit of the target."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from throughtime.data.streams import Chunk
from throughtime.runs.tasks.forecast_distributions import GRID, ForecastDistribution, quantile_losses

_LARGEST = 80.0
"""Largest logarithm of a forecast, so that a model that is not trained yet gives finite numbers."""


class Counted(NamedTuple):
    """Forecasts of the targets that count.

    A target is anchor + scale × scaled target; where it is read as its logarithm, this is the logarithm.
    """

    outputs: Tensor
    """What was read out [forecasts, numbers]."""
    targets: Tensor
    """Scaled targets [forecasts]."""
    scales: Tensor
    """Scales [forecasts]."""
    units: Tensor
    """Units of the loss [forecasts]."""
    anchors: Tensor
    """What forecasts depart from [forecasts]."""
    logs: Tensor
    """Whether a target is read as its logarithm [forecasts]."""

    @classmethod
    def of(cls, outputs: Tensor, chunk: Chunk, ahead: int, logs: list[bool]) -> Counted:
        """Return the forecasts of a chunk.

        Args:
            outputs: [time, batch, ahead, targets, numbers].
            chunk: with targets as `ForecastArrays` makes them.
            ahead: steps ahead.
            logs: [targets] whether a target is read as its logarithm.
        """
        told = chunk.targets
        parts = [
            told[:, :, :ahead],
            told[:, :, [2 * ahead]],
            told[:, :, [2 * ahead + 1]],
            told[:, :, ahead : 2 * ahead],
        ]
        parts = [part.expand_as(parts[0]) for part in [*parts, torch.tensor(logs, device=told.device)]]
        if chunk.mask is None:
            return cls(outputs.flatten(0, 3), *(part.flatten() for part in parts))
        return cls(outputs[chunk.mask], *(part[chunk.mask] for part in parts))

    def double(self) -> Counted:
        """Return the same with twice the digits."""
        outputs, targets, scales, units, anchors = (part.double() for part in self[:-1])
        return Counted(outputs, targets, scales, units, anchors, self.logs)

    def in_units(self, scaled: Tensor) -> Tensor:
        """Return scaled numbers [forecasts, numbers] in the unit of the target."""
        return self._back(scaled, self.anchors)

    def crps(self, distribution: ForecastDistribution) -> Tensor:
        """Return the continuous ranked probability score of each forecast, in the unit of the target."""
        # Without logarithms differences alone matter, and large anchors would cost them their digits.
        anchors = torch.where(self.logs, self.anchors, 0)
        quantiles = self._back(distribution.quantiles(self.outputs, GRID, self.scales), anchors)
        came = self._back(self.targets.unsqueeze(-1), anchors)[:, 0]
        return quantile_losses(quantiles, came, GRID).mean(dim=-1)

    def _back(self, scaled: Tensor, anchors: Tensor) -> Tensor:
        plain = anchors.unsqueeze(-1) + self.scales.unsqueeze(-1) * scaled
        return torch.where(self.logs.unsqueeze(-1), plain.clamp_max(_LARGEST).exp(), plain)
