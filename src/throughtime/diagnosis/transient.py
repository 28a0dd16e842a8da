"""Transient growth: how far a matrix's powers grow before they decay."""

import math
import sys
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from throughtime.checks import check_size
from throughtime.errors import ArgumentError, NonFiniteError

DISTANCES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
"""The distances |z| - 1 of the points at which Kreiss's constant is bounded."""
ANGLES = 24
"""The number of points at each distance, evenly spread over the upper half plane."""


@dataclass(frozen=True)
class TransientGrowth:
    """The growth of the powers of a matrix W.

    Attributes:
        peak: the largest ‖W^k‖ for k = 0, 1, …, at least 1.
        lag: the k of the peak.
        kreiss: a lower bound on Kreiss's constant sup (|z| - 1) ‖(zI - W)⁻¹‖ over |z| > 1, and so on the supremum of
            ‖W^k‖ over all k.
    """

    peak: float
    lag: int
    kreiss: float


def transient_growth(matrix: Float[Tensor, "size size"], lags: int = 64) -> TransientGrowth:
    """Measure how far the powers of a matrix grow, whatever its eigenvalues are.

    All powers of a matrix with a spectral radius below 1 decay in the end; the powers of a non-normal matrix may grow
    first. For a linear recurrence this is the gradient's growth by lag; in other cases W is the Jacobian of a step, or
    a rough guide. Kreiss's matrix theorem (see Trefethen & Embree 2005, chapter 18) bounds the supremum of ‖W^k‖ from
    below without any power of W; the bound is taken at 6 × 24 points z.

    Args:
        matrix: W, square.
        lags: the largest k; the powers stop earlier where they would overflow.

    Raises:
        ArgumentError: matrix is not square, or lags is not a positive whole number.
        NonFiniteError: matrix holds a NaN or an infinity.

    Cost: O((lags + 144) S³), in float64.

    Examples:
        >>> growth = transient_growth(torch.tensor([[0.9, 10.0], [0.0, 0.9]]))
        >>> round(growth.peak, 1), growth.lag
        (38.7, 9)
    """
    check_size("lags", lags, least=1)
    if matrix.dim() != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ArgumentError("matrix", f"has the shape {tuple(matrix.shape)}", "it must be square")
    if not bool(matrix.isfinite().all()):
        raise NonFiniteError("matrix holds a NaN or an infinity, so its powers have no norm")
    norms = power_norms(matrix.detach().double(), lags)
    peak = max(norms)
    return TransientGrowth(peak, norms.index(peak), _kreiss(matrix.detach().double()))


def power_norms(matrix: Float[Tensor, "size size"], lags: int) -> list[float]:
    """Return ‖W^k‖_2 for k = 0 … lags, or to the last power that cannot overflow."""
    power, norms = torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device), [1.0]
    factor = spectral_norm(matrix)
    while len(norms) <= lags and norms[-1] * factor * len(matrix) < sys.float_info.max:
        power = power @ matrix
        norms.append(spectral_norm(power))
    return norms


def spectral_norm(matrix: Float[Tensor, "rows columns"]) -> float:
    """Return the largest singular value."""
    return float(torch.linalg.svdvals(matrix)[0])


def _kreiss(matrix: Tensor) -> float:
    """Return the largest (|z| - 1) / σ_min(zI - W) over a grid. The grid is in the upper half plane; W is real."""
    identity, best = torch.eye(len(matrix), dtype=torch.complex128, device=matrix.device), 0.0
    for distance in DISTANCES:
        for angle in range(ANGLES):
            argument = math.pi * angle / (ANGLES - 1)
            z = (1 + distance) * complex(math.cos(argument), math.sin(argument))
            smallest = float(torch.linalg.svdvals(z * identity - matrix)[-1])
            best = max(best, distance / smallest if smallest else math.inf)
    return best
