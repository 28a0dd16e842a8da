"""Measurements of a recurrence: lags, gains, spectra, exponents, activations, units.

s_t is the state (h; h and c of an LSTM, side by side), S its size, L the loss, and L_t the part of it that enters the
recurrence at step t. Steps and rows are counted from 0, lags in steps. Norms are 2-norms, logarithms natural.
"""

from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True)
class LagCurve:
    """The gradient by lag: ratios ‖∂L_t/∂s_{t-k}‖ / ‖∂L_t/∂s_t‖ for k = 0, 1, …, K.

    They are taken over samples (t, row). `mean` and `quantiles` ("0.05", "0.25", "0.5", "0.75", "0.95") are over the
    samples that reach back k steps, and `samples` is their number. `norm` is the median of ‖∂L_t/∂s_t‖.
    """

    mean: list[float]
    quantiles: dict[str, list[float]]
    samples: list[int]
    norm: float


@dataclass(frozen=True)
class Horizon:
    """The lag from which on the median of the lag curve stays below `level`.

    It is interpolated in logarithms; `low` and `high` bound it with 90 % confidence (bootstrap over rows). inf: the
    curve does not fall so far within `observed`, the largest measured lag. nan: no gradient arrives.
    """

    level: float
    lag: float
    low: float
    high: float
    observed: int


@dataclass(frozen=True)
class LagShare:
    """Norm of the part of the weights' gradient that comes through some lags.

    The lags are start … stop - 1, and the weights those of the recurrence.
    """

    start: int
    stop: int
    norm: float


@dataclass(frozen=True)
class GainMap:
    """Root-mean-square gains ‖∂s_t/∂s_r‖_F / √S: `gain[i][j]` for t = `to_steps[i]`, r = `from_steps[j]`.

    The gain is 1 on the diagonal and nan for r > t. It is estimated from random probes, or exact, with the spectral
    norm beside it.
    """

    to_steps: list[int]
    from_steps: list[int]
    gain: list[list[float]]
    spectral: list[list[float]] | None = None


@dataclass(frozen=True)
class MatrixSpectrum:
    """The spectrum of a block of recurrent weights.

    Attributes:
        eigenvalues: [real, imaginary] each; empty where the block is not square.
        singular_values: the singular values, decreasing.
        radius: the largest |eigenvalue|; nan without eigenvalues.
        departure: from normality (Henrici): √(‖W‖_F² - Σ|λ|²) / ‖W‖_F; 0 for a normal matrix.
        power_norms: ‖W^k‖ for k = 0, 1, …: above 1 while the radius is below 1 is transient growth.
    """

    eigenvalues: list[list[float]]
    singular_values: list[float]
    radius: float
    departure: float
    power_norms: list[float]


@dataclass(frozen=True)
class Spectrum:
    """The spectra of the recurrent weights and of J_t = ∂s_t/∂s_{t-1} at sampled steps.

    Attributes:
        weights: the blocks by name: "weight_hh", or gate by gate.
        jacobian_eigenvalues: [real, imaginary] each, of all sampled steps together.
        jacobian_norms: the largest singular value of each sampled J_t.
        jacobian_radii: the largest |eigenvalue| of each sampled J_t.
        bound: γ σ_max(W_hh), the bound on a step's growth of Pascanu et al. (2013); None unless J_t = diag(φ') W_hh.
    """

    weights: dict[str, MatrixSpectrum]
    jacobian_eigenvalues: list[list[float]]
    jacobian_norms: list[float]
    jacobian_radii: list[float]
    bound: float | None


@dataclass(frozen=True)
class Lyapunov:
    """Lyapunov exponents per step, decreasing, with standard errors.

    An exponent is -inf where its direction is lost at once, an error nan where too few steps tell it.

    The exponents are means over `steps` steps, counted over all `rows` rows together; the first `discarded` steps of
    each row, and after each reset, only align the directions.
    """

    exponents: list[float]
    errors: list[float]
    steps: int
    rows: int
    discarded: int


class Role(StrEnum):
    """Role of an activation in a cell."""

    CONTENT = "content"  # writes into the state; its slope is a factor of the gradient
    KEEP = "keep"  # sets the share of the old state that is kept
    GATE = "gate"  # lets something in or out


@dataclass(frozen=True)
class Activation:
    """An activation ("forget gate", "h", …) over all steps, rows and units.

    Attributes:
        name: the name that the cell gives it.
        role: its role in the cell, by which verdicts read it.
        low, high: the ends of its range; infinite where it has none.
        mean: the mean value.
        at_low, at_high: the shares of values within a twentieth of the range from either end.
        histogram: shares in 20 equal bins from low to high; without such ends, from the least to the greatest value.
        edges: the 21 edges of the bins.
        time_constants: the quantiles 0.05, 0.25, 0.5, 0.75, 0.95 over units of -1 / mean ln(kept share), in steps, for
            the role KEEP; empty for other roles.
    """

    name: str
    role: Role
    low: float
    high: float
    mean: float
    at_low: float
    at_high: float
    histogram: list[float]
    edges: list[float]
    time_constants: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Units:
    """Units of a recurrence: total, dead (never changing), and size by step.

    `state_norms` is the root mean square of h_t over rows and units; `preactivation` is that of the arguments of the
    content activations, nan where the cell does not give them.
    """

    units: int
    dead: int
    state_norms: list[float]
    preactivation: float = float("nan")
