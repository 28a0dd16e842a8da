"""Shares of lags: the part of each lag in the gradient of a recurrence's parameters."""

import math

import torch

from throughtime.models.lags import bands_of, doubling_ends, exact_by_lag
from throughtime.models.recording import RecordedRun
from throughtime.records import LagShare
from throughtime.sequences.row_norms import joint_norm

BUDGET = 2 * 10**11
"""Largest number of multiplications by a weight: a few seconds on one core."""


def shares_of(run: RecordedRun) -> list[LagShare]:
    """Return the norms of the parts of ∂L/∂θ by bands of lags.

    The bands are 0, 1, 2 … 3, 4 … 7, …; the sum of the parts is ∂L/∂θ.

    This is [HSK] (10), summed by lag. Every lag takes a backward step of all steps at once, so that all lags cost
    T²·B·P. To stay within `BUDGET`, only the longest rows are taken, as many as it allows, or only the last steps of
    the longest row; the losses are then those of these rows and steps. The sum ends early where no gradient above
    rounding reaches further. Without finite gradients of the losses there are no shares.
    """
    if not all(bool(member.isfinite().all()) for member in run.direct):
        return []
    part = affordable(run, BUDGET)
    bands = bands_of(doubling_ends(len(part.sequence.x)))
    largest = max(member.abs().max().item() for member in part.direct)
    with torch.no_grad():
        gradients = exact_by_lag(part, bands, least=largest * torch.finfo(part.direct[0].dtype).eps)
    return [
        LagShare(band.start, band.stop, joint_norm(by_name.values()))
        for band, by_name in zip(bands, gradients, strict=True)
    ]


def affordable(run: RecordedRun, budget: float) -> RecordedRun:
    """Return the part of the run whose lags cost at most `budget` multiplications."""
    steps, rows = run.sequence.shape
    weights = max(1, sum(value.numel() for value in run.parameters.values()))
    count = int(budget // (steps**2 * weights))
    if count >= rows:
        return run
    lengths = run.sequence.lengths
    longest = torch.arange(rows) if lengths is None else lengths.cpu().argsort(descending=True, stable=True)
    chosen = longest[: max(1, count)].to(run.direct[0].device)
    stop = steps if lengths is None else int(lengths.max())
    return run.part(chosen, 0 if count else max(0, stop - max(1, math.isqrt(int(budget // weights)))))
