import math

import pytest
import torch

from throughtime.diagnosis.transient import power_norms, transient_growth
from throughtime.errors import ArgumentError, NonFiniteError


def _matrix(*rows: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def test_a_nilpotent_matrix_grows_once():
    found = transient_growth(_matrix((0, 10), (0, 0)))
    assert (found.peak, found.lag) == (pytest.approx(10), 1)
    assert power_norms(_matrix((0, 10), (0, 0)), 3) == pytest.approx([1, 10, 0, 0])


def test_a_defective_matrix_grows_to_the_peak_of_its_closed_form():
    """‖[[ρ, c], [0, ρ]]^n‖ is about n c ρ^(n-1), largest near n = -1/ln ρ = 9.5."""
    found = transient_growth(_matrix((0.9, 10), (0, 0.9)))
    assert found.lag in (9, 10) and found.peak == pytest.approx(9 * 10 * 0.9**8, rel=0.01)


def test_a_normal_matrix_below_1_never_grows():
    orthogonal = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64))[0]
    found = transient_growth(0.9 * orthogonal)
    assert (found.peak, found.lag) == (1.0, 0) and found.kreiss <= 1 + 1e-12


def test_the_powers_are_those_of_the_matrix():
    matrix = 0.4 * torch.randn(5, 5, dtype=torch.float64)
    expected = [torch.linalg.matrix_norm(torch.linalg.matrix_power(matrix, lag), 2).item() for lag in range(8)]
    assert power_norms(matrix, 7) == pytest.approx(expected, rel=1e-12)


def test_powers_stop_before_they_overflow():
    norms = power_norms(_matrix((1e60, 0), (0, 1e60)), 64)
    assert norms == pytest.approx([1, 1e60, 1e120, 1e180, 1e240, 1e300])
    assert transient_growth(_matrix((1e200, 1e200), (0, 1e200))).lag == 1


def test_kreiss_bounds_the_peak_from_below_and_is_not_idle():
    """K ≤ sup ‖W^k‖ ≤ e S K, for matrices whose powers decay."""
    for _ in range(10):
        matrix = torch.randn(6, 6, dtype=torch.float64).triu(1) + 0.7 * torch.eye(6, dtype=torch.float64)
        found = transient_growth(matrix, lags=300)
        assert 1 < found.kreiss <= found.peak <= math.e * 6 * 2 * found.kreiss


def test_kreiss_in_closed_form():
    """‖(zI - [[0, c], [0, 0]])⁻¹‖ for z = 1 + d: the larger singular value of [[1/z, c/z²], [0, 1/z]]."""
    best = 0.0
    for distance in (1.0, 0.3, 0.1, 0.03, 0.01, 0.003):
        z = 1 + distance
        inverse = _matrix((1 / z, 10 / z**2), (0, 1 / z))
        best = max(best, distance * torch.linalg.svdvals(inverse)[0].item())
    assert transient_growth(_matrix((0, 10), (0, 0))).kreiss == pytest.approx(best, rel=1e-12)


def test_what_has_no_powers_is_refused():
    with pytest.raises(ArgumentError, match=r"matrix has the shape \(2, 3\)"):
        transient_growth(torch.ones(2, 3))
    with pytest.raises(ArgumentError, match="lags is 0"):
        transient_growth(torch.eye(2), lags=0)
    with pytest.raises(NonFiniteError, match="matrix holds a NaN"):
        transient_growth(_matrix((1, math.nan), (0, 1)))
