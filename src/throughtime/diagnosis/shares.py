"""What each lag contributes to the gradient of a recurrence's own parameters."""

import math

import torch
from torch import Tensor

from throughtime.models.lags import exact_by_lag
from throughtime.models.recording import RecordedRun
from throughtime.records import LagShare

BUDGET = 2 * 10**11
"""Multiplications by a weight, at most: a few seconds on one core."""


def shares_of(run: RecordedRun) -> list[LagShare]:
    """‖·‖ of the parts of ∂L/∂θ by way of the lags 0, 1, 2 … 3, 4 … 7, …, whose sum, as vectors, is ∂L/∂θ ([HSK] (10)).

    Every lag takes a backward step of all steps at once, so all of them cost T²·B·P. That is kept within `BUDGET`
    by taking the longest rows only, as many as it allows, and of the longest one only its last steps where it does
    not allow one; the losses are then those of these rows and steps. It ends early where nothing above rounding
    reaches further; where the losses' own gradients are not finite, there are none.
    """
    if not all(bool(member.isfinite().all()) for member in run.direct):
        return []
    part = affordable(run, BUDGET)
    steps = len(part.sequence.x)
    ends = [*(2**i for i in range((steps - 1).bit_length())), steps]
    bands = [range(start, end) for start, end in zip([0, *ends], ends, strict=False)]
    largest = max(member.abs().max().item() for member in part.direct)
    with torch.no_grad():
        gradients = exact_by_lag(part, bands, least=largest * torch.finfo(part.direct[0].dtype).eps)
    norms = [_norm(list(one.values())) for one in gradients]
    return [LagShare(band.start, band.stop, norm) for band, norm in zip(bands, norms, strict=True)]


def _norm(gradients: list[Tensor]) -> float:
    """‖·‖ of all of them together, whose squares may not be numbers: each is taken in parts of its largest entry."""
    largest = max((gradient.abs().max().item() for gradient in gradients if gradient.numel()), default=0.0)
    if not 0 < largest < math.inf:
        return largest
    return largest * math.hypot(*(float(torch.linalg.vector_norm(one.double() / largest)) for one in gradients))


def affordable(run: RecordedRun, budget: float) -> RecordedRun:
    """The part of the run whose lags cost no more than `budget` multiplications."""
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
