"""Comparison of both sides with torch.nn in float64, before anything is timed."""

import math

import torch
from torch import Tensor

from throughtime.benchmark.figures import Distance
from throughtime.benchmark.sides import PreparedCase

TIMES_TORCH = 1.5
"""Allowed distance of throughtime from the reference, as a multiple of the distance of torch.nn."""

FLOOR = 4.0
"""Distance that is always allowed, in units of the dtype's spacing at 1.

It is relative to the norm of the reference.
"""


def distances(prepared: PreparedCase) -> tuple[tuple[Distance, ...], tuple[Tensor, ...]]:
    """Measure how far outputs and gradients of both sides are from torch.nn in float64.

    A case in float64 has no better reference. The rounding error of torch.nn is then taken from its float32 pass,
    scaled by the ratio of the two spacings, and throughtime may be away by the rounding errors of both sides together,
    or by the rounding error of a sum over all N steps of all rows, √N / 2 spacings.

    Returns:
        The distances, an entry for each tensor, and the reference.
    """
    dtype = prepared.ours.x.dtype
    single, double = torch.finfo(torch.float32).eps, torch.finfo(torch.float64).eps
    reference = tuple(tensor.detach() for tensor in prepared.torch.in_dtype(torch.float64)())
    theirs = prepared.torch() if dtype == torch.float32 else prepared.torch.in_dtype(torch.float32)()
    scale, allowed = (1.0, TIMES_TORCH) if dtype == torch.float32 else (double / single, 1 + TIMES_TORCH)
    floor = FLOOR if dtype == torch.float32 else max(FLOOR, math.sqrt(prepared.tokens) / 2)
    measured = []
    for name, exact, of_torch, ours in zip(prepared.ours.names, reference, theirs, prepared.ours(), strict=True):
        away = scale * relative(of_torch, exact)
        limit = max(allowed * away, floor * torch.finfo(dtype).eps)
        measured.append(Distance(name, relative(ours, exact), away, limit))
    return tuple(measured), reference


def relative(tensor: Tensor, exact: Tensor) -> float:
    """Return ‖tensor − exact‖ / ‖exact‖ in float64; infinite where the shapes differ."""
    if tensor.shape != exact.shape:
        return float("inf")
    exact = exact.detach()
    norm = float(exact.norm())
    away = float((tensor.detach().double() - exact).norm())
    return away / norm if norm else away
