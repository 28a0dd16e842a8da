"""The mean over a trajectory, with a standard error that allows for correlated steps."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

LEAST = 16
"""The smallest number of steps of a row that is cut into batches."""


def mean_with_error(
    samples: Float[Tensor, "time batch values"], counted: Bool[Tensor, "time batch"]
) -> tuple[Float[Tensor, " values"], Float[Tensor, " values"]]:
    """Return the mean of the counted samples over steps and rows, and its standard error.

    The error is the larger of two estimates. Over time: the n steps of a row are cut into about √n batches of √n
    neighbouring steps, whose means are nearly independent where correlations die out within √n steps (batch means);
    rows with fewer than 16 steps are left out of it. Over rows: the scatter of the rows' means, as of independent
    replicas; it also covers lasting differences between rows. The error is nan where neither estimate exists (a single
    row of fewer than 16 steps), and where the mean is not finite.
    """
    rows = [row for row in range(samples.shape[1]) if bool(counted[:, row].any())]
    if not rows:
        nothing = samples.new_full(samples.shape[-1:], math.nan)
        return nothing, nothing.clone()
    by_row = [samples[counted[:, row], row] for row in rows]
    sizes = samples.new_tensor([len(steps) for steps in by_row])
    weights = (sizes / sizes.sum())[:, None]
    means = torch.stack([steps.mean(0) for steps in by_row])
    mean = (weights * means).sum(0)
    error = torch.fmax(_over_time(by_row, weights), _over_rows(means - mean, weights)).sqrt()
    return mean, error.masked_fill(~mean.isfinite(), math.nan)


def _over_time(by_row: list[Tensor], weights: Tensor) -> Tensor:
    """Return the variance of the mean, from batches of neighbouring steps."""
    total, share = torch.zeros_like(by_row[0][0]), 0.0
    for steps, weight in zip(by_row, weights[:, 0].tolist(), strict=True):
        if len(steps) >= LEAST:
            length = math.isqrt(len(steps))
            count = len(steps) // length
            batches = steps[len(steps) - count * length :].unflatten(0, (count, length)).mean(1)
            total, share = total + weight**2 * batches.var(0) / count, share + weight
    return total / share**2 if share else torch.full_like(total, math.nan)


def _over_rows(deviations: Tensor, weights: Tensor) -> Tensor:
    """Return the variance of the mean, from the scatter of the rows' means."""
    rows = len(deviations)
    if rows < 2:
        return torch.full_like(deviations[0], math.nan)
    return (weights * deviations).square().sum(0) * rows / (rows - 1)
