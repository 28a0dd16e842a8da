"""Both sides against torch.nn in float64, before anything is timed."""

import math

import torch
from torch import Tensor

from throughtime.benchmark.measurement import Distance
from throughtime.benchmark.sides import PreparedCase

TIMES_TORCH = 1.5
"""How many times as far from the reference as torch.nn ours may be."""

FLOOR = 4.0
"""What is always allowed, in units of the dtype's spacing at 1, relative to the reference's norm."""


def distances(prepared: PreparedCase) -> tuple[tuple[Distance, ...], tuple[Tensor, ...]]:
    """How far the output and each gradient of either side are from torch.nn's in float64.

    For a case in float64 there is no better reference: torch.nn's own rounding error is then taken from its float32
    pass, scaled by the ratio of the two spacings, and ours may be away by that of both sides together, or by what a sum
    over all N steps of all rows rounds by, √N / 2 spacings.

    Returns:
        One entry for each tensor, and the reference itself.
    """
    dtype = prepared.ours.x.dtype
    single, double = torch.finfo(torch.float32).eps, torch.finfo(torch.float64).eps
    reference = tuple(tensor.detach() for tensor in prepared.torch.in_dtype(torch.float64)())
    theirs = prepared.torch() if dtype == torch.float32 else prepared.torch.in_dtype(torch.float32)()
    scale, allowed = (1.0, TIMES_TORCH) if dtype == torch.float32 else (double / single, 1 + TIMES_TORCH)
    floor = FLOOR if dtype == torch.float32 else max(FLOOR, math.sqrt(prepared.tokens) / 2)
    found = []
    for name, exact, torch_one, ours in zip(prepared.ours.names, reference, theirs, prepared.ours(), strict=True):
        away = scale * relative(torch_one, exact)
        limit = max(allowed * away, floor * torch.finfo(dtype).eps)
        found.append(Distance(name, relative(ours, exact), away, limit))
    return tuple(found), reference


def relative(tensor: Tensor, exact: Tensor) -> float:
    """‖tensor − exact‖ / ‖exact‖ in float64; infinite where the shapes differ."""
    if tensor.shape != exact.shape:
        return float("inf")
    exact = exact.detach()
    norm = float(exact.norm())
    away = float((tensor.detach().double() - exact).norm())
    return away / norm if norm else away
