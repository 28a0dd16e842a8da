"""The mean over a trajectory, with a standard error that respects how the steps hang together."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

LEAST = 16
"""Steps of a row below which it is not cut into batches."""


def mean_with_error(
    samples: Float[Tensor, "time batch values"], counted: Bool[Tensor, "time batch"]
) -> tuple[Float[Tensor, " values"], Float[Tensor, " values"]]:
    """The mean of the samples that are counted, over steps and rows, and its standard error.

    The error is the larger of two estimates. Over time: the n steps of a row are cut into about √n batches of √n
    neighbouring steps, whose means are nearly independent where correlations die out within √n steps (batch means);
    rows with fewer than 16 steps are left out of it. Over rows: the scatter of the rows' own means, as of independent
    replicas; it also sees what differs from row to row for good. nan where neither can be had, that is one row of
    fewer than 16 steps, and where the mean is not finite.
    """
    rows = [row for row in range(samples.shape[1]) if bool(counted[:, row].any())]
    if not rows:
        nothing = samples.new_full(samples.shape[-1:], math.nan)
        return nothing, nothing.clone()
    own = [samples[counted[:, row], row] for row in rows]
    sizes = samples.new_tensor([len(steps) for steps in own])
    weights = (sizes / sizes.sum())[:, None]
    means = torch.stack([steps.mean(0) for steps in own])
    mean = (weights * means).sum(0)
    error = torch.fmax(_over_time(own, weights), _over_rows(means - mean, weights)).sqrt()
    return mean, error.masked_fill(~mean.isfinite(), math.nan)


def _over_time(own: list[Tensor], weights: Tensor) -> Tensor:
    """The variance of the mean, from batches of neighbouring steps."""
    total, share = torch.zeros_like(own[0][0]), 0.0
    for steps, weight in zip(own, weights[:, 0].tolist(), strict=True):
        if len(steps) >= LEAST:
            length = math.isqrt(len(steps))
            count = len(steps) // length
            batches = steps[len(steps) - count * length :].unflatten(0, (count, length)).mean(1)
            total, share = total + weight**2 * batches.var(0) / count, share + weight
    return total / share**2 if share else torch.full_like(total, math.nan)


def _over_rows(deviations: Tensor, weights: Tensor) -> Tensor:
    """The variance of the mean, from the rows' deviations from it."""
    rows = len(deviations)
    if rows < 2:
        return torch.full_like(deviations[0], math.nan)
    return (weights * deviations).square().sum(0) * rows / (rows - 1)
