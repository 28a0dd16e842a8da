"""Measurements of a recurrence: lags, gains, spectra, exponents, activations, units.

s_t is the state (h; h and c of an LSTM, side by side), S its size, L the loss, and L_t the part of it that enters the
recurrence at step t. Steps and rows are counted from 0, lags in steps. Norms are 2-norms, logarithms natural.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum

from throughtime.records.ranges import (
    Consistent,
    Count,
    FieldError,
    Label,
    Norm,
    PerhapsShare,
    Share,
    Size,
    check_length,
    same_lengths,
    shown,
)

_SHOWN = 8
"""Exponents that a printed `Lyapunov` shows."""


@dataclass(frozen=True)
class LagCurve(Consistent):
    """The gradient by lag: ratios ‖∂L_t/∂s_{t-k}‖ / ‖∂L_t/∂s_t‖ for k = 0, 1, …, K.

    They are taken over samples (t, row). `mean` and `quantiles` ("0.05", "0.25", "0.5", "0.75", "0.95") are over the
    samples that reach back k steps, and `samples` is their number. `norm` is the median of ‖∂L_t/∂s_t‖.
    """

    mean: list[Norm]
    quantiles: dict[str, list[Norm]]
    samples: list[Count]
    norm: Norm

    def check(self) -> None:
        """Raise `FieldError` where parts do not fit together."""
        same_lengths(self, "mean", "samples")
        for level, values in self.quantiles.items():
            if not re.fullmatch(r"0\.\d{1,6}", level):
                raise FieldError(f"has the level {shown(level)}", "named by levels from 0 to 1", ".quantiles")
            check_length(values, len(self.mean), f".quantiles.{level}")


@dataclass(frozen=True)
class Horizon:
    """The lag from which on the median of the lag curve stays below `level`.

    It is interpolated in logarithms; `low` and `high` bound it with 90 % confidence (bootstrap over rows). inf: the
    curve does not fall so far within `observed`, the largest measured lag. nan: no gradient arrives.
    """

    level: Share
    lag: Norm
    low: Norm
    high: Norm
    observed: Count


@dataclass(frozen=True)
class LagShare:
    """Norm of the part of the weights' gradient that comes through some lags.

    The lags are start … stop - 1, and the weights those of the recurrence.
    """

    start: Count
    stop: Count
    norm: Norm


@dataclass(frozen=True)
class GainMap(Consistent):
    """Root-mean-square gains ‖∂s_t/∂s_r‖_F / √S: `gain[i][j]` for t = `to_steps[i]`, r = `from_steps[j]`.

    The gain is 1 on the diagonal and nan for r > t. It is estimated from random probes, or exact, with the spectral
    norm beside it.
    """

    to_steps: list[Count]
    from_steps: list[Count]
    gain: list[list[Norm]]
    spectral: list[list[Norm]] | None = None

    def check(self) -> None:
        """Raise `FieldError` where parts do not fit together."""
        for name, grid in (("gain", self.gain), ("spectral", self.spectral)):
            if grid is not None:
                check_length(grid, len(self.to_steps), f".{name}")
                for i, row in enumerate(grid):
                    check_length(row, len(self.from_steps), f".{name}[{i}]")


@dataclass(frozen=True)
class MatrixSpectrum(Consistent):
    """The spectrum of a block of recurrent weights.

    Attributes:
        eigenvalues: [real, imaginary] each; empty where the block is not square.
        singular_values: the singular values, decreasing.
        radius: the largest |eigenvalue|; nan without eigenvalues.
        departure: from normality (Henrici): √(‖W‖_F² - Σ|λ|²) / ‖W‖_F; 0 for a normal matrix.
        power_norms: ‖W^k‖ for k = 0, 1, …: above 1 while the radius is below 1 is transient growth.
    """

    eigenvalues: list[list[float]]
    singular_values: list[Norm]
    radius: Norm
    departure: Norm
    power_norms: list[Norm]

    def check(self) -> None:
        """Raise `FieldError` where parts do not fit together."""
        _check_pairs(self.eigenvalues, ".eigenvalues")


@dataclass(frozen=True)
class Spectrum(Consistent):
    """The spectra of the recurrent weights and of J_t = ∂s_t/∂s_{t-1} at sampled steps.

    Attributes:
        weights: the blocks by name: "weight_hh", or gate by gate.
        jacobian_eigenvalues: [real, imaginary] each, of all sampled steps together.
        jacobian_norms: the largest singular value of each sampled J_t.
        jacobian_radii: the largest |eigenvalue| of each sampled J_t.
        bound: γ σ_max(W_hh), the bound on a step's growth of Pascanu et al. (2013); None unless J_t = diag(φ') W_hh.
    """

    weights: dict[Label, MatrixSpectrum]
    jacobian_eigenvalues: list[list[float]]
    jacobian_norms: list[Norm]
    jacobian_radii: list[Norm]
    bound: Norm | None

    def check(self) -> None:
        """Raise `FieldError` where parts do not fit together."""
        _check_pairs(self.jacobian_eigenvalues, ".jacobian_eigenvalues")
        same_lengths(self, "jacobian_norms", "jacobian_radii")


@dataclass(frozen=True)
class Lyapunov(Consistent):
    """Lyapunov exponents per step, decreasing, with standard errors.

    An exponent is -inf where its direction is lost at once, an error nan where too few steps tell it.

    The exponents are means over `steps` steps, counted over all `rows` rows together; the first `discarded` steps of
    each row, and after each reset, only align the directions.
    """

    exponents: list[float]
    errors: list[Norm]
    steps: Count
    rows: Count
    discarded: Count

    def check(self) -> None:
        """Raise `FieldError` where parts do not fit together."""
        same_lengths(self, "exponents", "errors")

    def __repr__(self) -> str:
        pairs = zip(self.exponents[:_SHOWN], self.errors, strict=False)
        shown = [f"{exponent:.4g} ± {error:.1g}" for exponent, error in pairs]
        more = [f"… {len(self.exponents) - _SHOWN} more"] if len(self.exponents) > _SHOWN else []
        counted = f"steps={self.steps}, rows={self.rows}, discarded={self.discarded}"
        return f"Lyapunov({', '.join([*shown, *more])}; {counted})"


class Role(StrEnum):
    """Role of an activation in a cell."""

    CONTENT = "content"  # writes into the state; its slope is a factor of the gradient
    KEEP = "keep"  # sets the share of the old state that is kept
    GATE = "gate"  # lets something in or out


@dataclass(frozen=True)
class Activation(Consistent):
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

    name: Label
    role: Role
    low: float
    high: float
    mean: float
    at_low: PerhapsShare
    at_high: PerhapsShare
    histogram: list[PerhapsShare]
    edges: list[float]
    time_constants: list[float] = field(default_factory=list)

    def check(self) -> None:
        """Raise `FieldError` where parts do not fit together."""
        if self.histogram or self.edges:  # without a finite value there is no histogram
            check_length(self.edges, len(self.histogram) + 1, ".edges")


@dataclass(frozen=True)
class Units:
    """Units of a recurrence: total, dead (never changing), and size by step.

    `state_norms` is the root mean square of h_t over rows and units; `preactivation` is that of the arguments of the
    content activations, nan where the cell does not give them.
    """

    units: Size
    dead: Count
    state_norms: list[Norm]
    preactivation: Norm = float("nan")


def _check_pairs(numbers: list[list[float]], path: str) -> None:
    """Raise `FieldError` where a complex number is not [real, imaginary]."""
    for i, pair in enumerate(numbers):
        check_length(pair, 2, f"{path}[{i}]")
