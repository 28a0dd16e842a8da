"""Distributions of forecasts: what the readout gives, losses, and quantiles of it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

GRID = tuple((2 * number + 1) / 20 for number in range(10))
"""Levels whose quantile losses make the CRPS: 0.05, 0.15, …, 0.95."""

MIDDLE = 0.5
"""Level of the median, which is the prediction."""


@dataclass(frozen=True)
class ForecastDistribution(ABC):
    """Distribution of a number, from the outputs of a readout.

    Attributes:
        levels: the levels of quantiles that are wanted beside those of `GRID`.
        of_counts: whether it is of counts, which depart from 0.
    """

    levels: tuple[float, ...]
    of_counts: ClassVar[bool] = False

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of outputs."""

    @abstractmethod
    def losses(self, outputs: Tensor, targets: Tensor, scales: Tensor) -> Tensor:
        """Return what training minimises for each target [targets].

        Args:
            outputs: [targets, size].
            targets: [targets] divided by the scales.
            scales: [targets].
        """

    @abstractmethod
    def quantiles(self, outputs: Tensor, levels: Sequence[float], scales: Tensor) -> Tensor:
        """Return quantiles [targets, levels], divided by the scales; levels are in order."""

    def mean(self, outputs: Tensor, scales: Tensor) -> Tensor:
        """Return the mean, or what stands for it [targets], divided by the scales."""
        return self.quantiles(outputs, (MIDDLE,), scales)[:, 0]


class QuantileForecast(ForecastDistribution):
    """Quantiles, trained by the quantile loss: no form is assumed."""

    @property
    def known(self) -> tuple[float, ...]:
        """All levels that the readout gives, in order."""
        return tuple(sorted({*GRID, *self.levels, MIDDLE}))

    @property
    def size(self) -> int:
        """Number of levels."""
        return len(self.known)

    def losses(self, outputs: Tensor, targets: Tensor, scales: Tensor) -> Tensor:
        """Return twice the mean quantile loss."""
        return quantile_losses(outputs, targets, self.known).mean(dim=-1)

    def quantiles(self, outputs: Tensor, levels: Sequence[float], scales: Tensor) -> Tensor:
        """Return quantiles, sorted, so that none crosses another."""
        places = [self.known.index(level) for level in levels]
        return outputs.sort(dim=-1).values[..., places]


class NormalForecast(ForecastDistribution):
    """Normal distribution, trained by its negative log-likelihood."""

    @property
    def size(self) -> int:
        """Number of outputs: mean and spread."""
        return 2

    def losses(self, outputs: Tensor, targets: Tensor, scales: Tensor) -> Tensor:
        """Return the negative log-likelihoods, in nats."""
        mean, spread = outputs[..., 0], _positive(outputs[..., 1])
        return 0.5 * ((targets - mean) / spread).square() + spread.log() + 0.5 * math.log(2 * math.pi)

    def quantiles(self, outputs: Tensor, levels: Sequence[float], scales: Tensor) -> Tensor:
        """Return quantiles."""
        import torch

        places = torch.special.ndtri(torch.tensor(levels, dtype=outputs.dtype, device=outputs.device))
        return outputs[..., :1] + _positive(outputs[..., 1:2]) * places


class StudentTForecast(ForecastDistribution):
    """Student's t with 4 degrees of freedom, trained by its negative log-likelihood.

    Its tails are heavy, so that a rare large error moves it less than a normal distribution.
    """

    @property
    def size(self) -> int:
        """Number of outputs: center and spread."""
        return 2

    def losses(self, outputs: Tensor, targets: Tensor, scales: Tensor) -> Tensor:
        """Return the negative log-likelihoods, in nats."""
        center, spread = outputs[..., 0], _positive(outputs[..., 1])
        away = ((targets - center) / spread).square()
        return 2.5 * (away / 4).log1p() + spread.log() - math.log(3 / 8)

    def quantiles(self, outputs: Tensor, levels: Sequence[float], scales: Tensor) -> Tensor:
        """Return quantiles, by the closed form of 4 degrees of freedom."""
        import torch

        return outputs[..., :1] + _positive(outputs[..., 1:2]) * torch.tensor(
            [_t4_quantile(level) for level in levels], dtype=outputs.dtype, device=outputs.device
        )


class PoissonForecast(ForecastDistribution):
    """Poisson distribution of counts, trained by its negative log-likelihood."""

    of_counts: ClassVar[bool] = True

    @property
    def size(self) -> int:
        """Number of outputs: the rate."""
        return 1

    def losses(self, outputs: Tensor, targets: Tensor, scales: Tensor) -> Tensor:
        """Return the negative log-likelihoods of the counts, in nats."""
        import torch

        rates, counts = _positive(outputs[..., 0]) * scales, targets * scales
        return rates - counts * rates.log() + torch.lgamma(counts + 1)

    def quantiles(self, outputs: Tensor, levels: Sequence[float], scales: Tensor) -> Tensor:
        """Return the least counts at which the distribution function reaches the levels, by halving."""
        import torch

        rates = (_positive(outputs).double() * scales.unsqueeze(-1)).expand(*outputs.shape[:-1], len(levels))
        wanted = torch.tensor(levels, dtype=rates.dtype, device=rates.device)
        low, high = torch.full_like(rates, -1), (rates + 10 * rates.sqrt() + 20).ceil()
        while bool((high - low > 1).any()):
            middle = ((low + high) / 2).floor()
            reached = torch.special.gammaincc(middle.clamp_min(0) + 1, rates) >= wanted
            reached &= middle >= 0
            low, high = torch.where(reached, low, middle), torch.where(reached, middle, high)
        return (high / scales.unsqueeze(-1)).to(outputs.dtype)


def _t4_quantile(level: float) -> float:
    part = 4 * level * (1 - level)
    grown = math.cos(math.acos(math.sqrt(part)) / 3) / math.sqrt(part)
    return math.copysign(2 * math.sqrt(max(grown - 1, 0)), level - MIDDLE)


def quantile_losses(quantiles: Tensor, targets: Tensor, levels: Sequence[float]) -> Tensor:
    """Return twice the quantile loss of each target and level [targets, levels].

    Its mean over all levels is the CRPS; at level 0.5 it is the absolute error.

    Args:
        quantiles: [targets, levels].
        targets: [targets].
        levels: of the quantiles.
    """
    import torch

    at = torch.tensor(levels, dtype=quantiles.dtype, device=quantiles.device)
    errors = targets.unsqueeze(-1) - quantiles
    return 2 * torch.maximum(at * errors, (at - 1) * errors)


def _positive(values: Tensor) -> Tensor:
    from torch.nn.functional import softplus

    return softplus(values) + 1e-4


KINDS: dict[str, type[ForecastDistribution]] = {
    "quantiles": QuantileForecast,
    "normal": NormalForecast,
    "student-t": StudentTForecast,
    "poisson": PoissonForecast,
}
"""Distributions by the name of the option."""
