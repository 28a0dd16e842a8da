"""Experiments on the claims of [Y] about eigenvalues.

The claims hold for the linear network in the limit of long lags. Most experiments use small matrices of their own and
not the network that they are given.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from throughtime.lecture_notes.base import Equation, EquationVerdict, ExperimentResult, Kind, Note
from throughtime.lecture_notes.differentiation import Derivative, automatic
from throughtime.lecture_notes.systems import ElmanSystem

LAG = 50
"""Lag of the experiments, in time steps. 2^50 is far above 1 and 0.17^50 far below; float64 holds both."""


def _matrix(*rows: tuple[float, ...]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def _norm(matrix: Tensor) -> float:
    """Return the spectral norm, the largest singular value."""
    return torch.linalg.matrix_norm(matrix, 2).item()


def _spectral_radius(matrix: Tensor) -> float:
    return torch.linalg.eigvals(matrix).abs().max().item()


def _power_norms(matrix: Tensor, lags: int) -> list[float]:
    """Return the norms of the powers 1 … lags."""
    return [_norm(torch.linalg.matrix_power(matrix, lag)) for lag in range(1, lags + 1)]


def _fixed_point_jacobian(weight: Tensor, state: Tensor) -> Tensor:
    """Return diag(1 − h²) W_hh at a fixed point.

    The input keeps the network in this state: x = artanh(h) − W_hh h, with W_ih = 1.
    """
    drive = torch.atanh(state) - weight @ state
    return automatic(Derivative(lambda h: torch.tanh(drive + weight @ h), state))


def _grows_first(system: ElmanSystem) -> ExperimentResult:
    """Measure matrices of spectral radius below 1 whose powers grow before they shrink."""
    nilpotent, defective = _matrix((0, 10), (0, 0)), _matrix((0.9, 10), (0, 0.9))
    norms = _power_norms(defective, 200)
    peak = max(norms)
    small = next(lag for lag, norm in enumerate(norms, start=1) if norm < 1)
    numbers = {
        "radius": _spectral_radius(nilpotent),
        "norm": _norm(nilpotent),
        "peak": peak,
        "peak_lag": norms.index(peak) + 1,
        "small": small,
    }
    return ExperimentResult(numbers, shown=numbers["radius"] < 1 and numbers["norm"] > 1 and peak > 10 and small < 200)


def _sum_stays(system: ElmanSystem) -> ExperimentResult:
    """Measure ‖∂F/∂W_ih‖ of a scalar linear network by the note's formula.

    Here x_t = ∂L/∂ŷ_t = W_ho = 1 and ρ = 0.5.
    """
    radius = 0.5

    def gradient(steps: int) -> float:
        return sum(radius ** (t - i) for t in range(1, steps + 1) for i in range(1, t + 1)) / steps

    numbers = {"short": gradient(10), "long": gradient(300), "single": radius**299 / 300}
    return ExperimentResult(numbers, shown=numbers["long"] > numbers["short"] > 1 and numbers["single"] < 1e-80)


def _no_entry_to_infinity(system: ElmanSystem) -> ExperimentResult:
    """Measure powers of diag(−1.5, 0.5): the first entry changes its sign with each lag, the last one vanishes."""
    matrix = _matrix((-1.5, 0), (0, 0.5))
    odd, even = (torch.linalg.matrix_power(matrix, lag) for lag in (LAG - 1, LAG))
    numbers = {"odd": odd[0, 0].item(), "even": even[0, 0].item(), "other": even[1, 1].item(), "norm": _norm(even)}
    return ExperimentResult(numbers, shown=numbers["odd"] < -1e6 and numbers["even"] > 1e6 and numbers["other"] < 1e-6)


def _direction_matters(system: ElmanSystem) -> ExperimentResult:
    """Measure an error that has no part along the growing direction of diag(1.5, 0.5)."""
    matrix, error = _matrix((1.5, 0), (0, 0.5)), torch.tensor([0.0, 1.0], dtype=torch.float64)
    power = torch.linalg.matrix_power(matrix.T, LAG)
    numbers = {"radius": _spectral_radius(matrix), "power": _norm(power), "carried": (power @ error).norm().item()}
    return ExperimentResult(
        numbers, shown=numbers["radius"] > 1 and numbers["power"] > 1e6 and numbers["carried"] < 1e-6
    )


def _saturation(system: ElmanSystem) -> ExperimentResult:
    """Measure the scalar tanh network with w = 2 at its fixed point h = tanh(2h)."""
    weight, state = 2.0, 1.0
    for _ in range(200):
        state = math.tanh(weight * state)
    slope = _fixed_point_jacobian(_matrix((weight,)), torch.tensor([state], dtype=torch.float64)).item()
    numbers = {"radius": weight, "state": state, "slope": slope, "linear": weight**LAG, "tanh": slope**LAG}
    return ExperimentResult(numbers, shown=numbers["linear"] > 1e6 and numbers["tanh"] < 1e-6)


def _unbalanced(system: ElmanSystem) -> ExperimentResult:
    """Measure W = 2·[[1, −1], [1, −1]], for which W² = 0.

    With φ' = 0.2 at the second unit and 1 at the first, the powers of diag(φ') W grow.
    """
    weight = _matrix((2, -2), (2, -2))
    jacobian = _fixed_point_jacobian(weight, torch.tensor([0.0, math.sqrt(0.8)], dtype=torch.float64))
    numbers = {
        "radius": _spectral_radius(weight),
        "linear": _norm(torch.linalg.matrix_power(weight, LAG)),
        "slope": _spectral_radius(jacobian),
        "tanh": _norm(torch.linalg.matrix_power(jacobian, LAG)),
    }
    return ExperimentResult(numbers, shown=numbers["linear"] == 0 and numbers["tanh"] > 1e6)


def _amplified(system: ElmanSystem) -> ExperimentResult:
    """Join a tanh network that vanishes where the linear network explodes, and the reverse."""
    vanishing, exploding = _saturation(system), _unbalanced(system)
    numbers = {
        "vanishing": vanishing.numbers["tanh"],
        "vanishing_linear": vanishing.numbers["linear"],
        "exploding": exploding.numbers["tanh"],
        "exploding_linear": exploding.numbers["linear"],
    }
    return ExperimentResult(numbers, shown=vanishing.shown and exploding.shown)


def _claim(
    number: str,
    reading: str,
    statement: str,
    verdict: EquationVerdict,
    experiment: Callable[[ElmanSystem], ExperimentResult],
    explanation: str,
) -> Equation:
    return Equation(
        note=Note.Y,
        number=number,
        kind=Kind.CLAIM,
        reading=reading,
        statement=statement,
        experiment=experiment,
        verdict=verdict,
        explanation=explanation,
    )


VANISHING = "|λ(W_hhᵀ)| < 1 ⇒ (W_hhᵀ)^{t−i} → 0: the gradient vanishes"
EXPLODING = "|λ(W_hhᵀ)| > 1 ⇒ (W_hhᵀ)^t → +∞: the gradient explodes"

EIGENVALUE_CLAIMS: tuple[Equation, ...] = (
    _claim(
        "|λ| < 1",
        "at a finite lag",
        VANISHING,
        EquationVerdict.ASYMPTOTIC,
        _grows_first,
        "Only in the limit: [[0, 10], [0, 0]] has spectral radius {radius:.0f} and norm {norm:.0f}; the powers of "
        "[[0.9, 10], [0, 0.9]] grow to {peak:.0f} at lag {peak_lag} and fall below 1 at lag {small}.",
    ),
    _claim(
        "|λ| < 1",
        "the whole gradient",
        VANISHING,
        EquationVerdict.CONDITIONAL,
        _sum_stays,
        "The terms of long lag vanish, the sum does not: scalar, ρ = 0.5, all else 1: ∂F/∂W_ih is {short:.2f} for "
        "T = 10 and {long:.2f} for T = 300, while its term of lag 299 is {single:.0e}.",
    ),
    _claim(
        "|λ| < 1",
        "a tanh network",
        VANISHING,
        EquationVerdict.CONDITIONAL,
        _unbalanced,
        "For the linear network only: 2·[[1, −1], [1, −1]] has ρ = {radius:.0f} and power {linear:.0f} at lag 50, but "
        "with φ' = 0.2 at one unit diag(φ') W_hh has ρ = {slope:.1f} and its power the norm {tanh:.0e}.",
    ),
    _claim(
        "|λ| > 1",
        "as an equation of matrices",
        EXPLODING,
        EquationVerdict.WORDING,
        _no_entry_to_infinity,
        "The norm diverges, not the matrix to +∞: with diag(−1.5, 0.5) the first entry is {odd:.0e} at lag 49 and "
        "{even:+.0e} at lag 50, the last one {other:.0e}.",
    ),
    _claim(
        "|λ| > 1",
        "the gradient",
        EXPLODING,
        EquationVerdict.CONDITIONAL,
        _direction_matters,
        "Only if the error has a part along the growing direction: with diag(1.5, 0.5) the power at lag 50 has norm "
        "{power:.0e}, the error (0, 1) comes back as {carried:.0e}.",
    ),
    _claim(
        "|λ| > 1",
        "a tanh network",
        EXPLODING,
        EquationVerdict.CONDITIONAL,
        _saturation,
        "For the linear network only: scalar tanh with w = {radius:.0f} rests at h = {state:.4f}, where the step "
        "derivative is {slope:.4f}: lag 50 gives {tanh:.0e}, the linear network {linear:.0e}.",
    ),
    _claim(
        "activations",
        "",
        "activation functions may amplify vanishing and exploding",
        EquationVerdict.HOLDS,
        _amplified,
        "Both happen with tanh: {vanishing:.0e} where the linear network gives {vanishing_linear:.0e}, and "
        "{exploding:.0e} where it gives {exploding_linear:.0f} (products at lag 50).",
    ),
)
