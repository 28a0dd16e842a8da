"""Records of a diagnosis of the gradient's flow through time, as plain numbers for a report.

s_t is the state (h; h and c of an LSTM, side by side), S its size, L the loss, and L_t the part of it that enters the
recurrence at step t. Steps and rows are counted from 0, lags in steps. Norms are 2-norms, logarithms natural.
"""

import json
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from throughtime.errors import RunFolderError
from throughtime.records.files import content, damaged, write_aside
from throughtime.records.plain import from_plain, to_plain

DIAGNOSES = "diagnosis.json"
FLOW_FORMAT = 1


class Verdict(StrEnum):
    """Verdict on the flow of a gradient through time."""

    HEALTHY = "healthy"
    VANISHING = "vanishing"
    EXPLODING = "exploding"
    TRANSIENT = "transient growth, then decay"
    SATURATED = "saturated"
    CHAOTIC = "chaotic"
    NON_FINITE = "non-finite"
    NO_GRADIENT = "no gradient"
    TOO_SHORT = "too short"


@dataclass(frozen=True)
class LagCurve:
    """Change of a gradient on its way back: ratios ‖∂L_t/∂s_{t-k}‖ / ‖∂L_t/∂s_t‖ by lag k = 0, 1, …, K.

    `mean` and `quantiles` (by name: "0.05", "0.25", "0.5", "0.75", "0.95") are over the samples (t, row) that reach
    back to the lag; `samples` is their number. `norm` is the median of ‖∂L_t/∂s_t‖.
    """

    mean: list[float]
    quantiles: dict[str, list[float]]
    samples: list[int]
    norm: float


@dataclass(frozen=True)
class Horizon:
    """Lag from which on the median of the lag curve stays below `level`.

    The lag is fractional, interpolated in logarithms; `low` and `high` bound it with 90 % confidence (bootstrap over
    rows). inf: the curve does not fall so far within `observed`, the largest lag that was seen. nan: there was no
    gradient.
    """

    level: float
    lag: float
    low: float
    high: float
    observed: int


@dataclass(frozen=True)
class LagShare:
    """Norm of the part of the gradient of the parameters that passes through the lags start … stop - 1."""

    start: int
    stop: int
    norm: float


@dataclass(frozen=True)
class GainMap:
    """Root-mean-square gain ‖∂s_t/∂s_r‖_F / √S between steps.

    `gain[i][j]` is the gain for t = `to_steps[i]` and r = `from_steps[j]`: 1 on the diagonal, nan for r > t. The gain
    is estimated from random probes; where it is exact, `spectral` has the spectral norms.
    """

    to_steps: list[int]
    from_steps: list[int]
    gain: list[list[float]]
    spectral: list[list[float]] | None = None


@dataclass(frozen=True)
class MatrixSpectrum:
    """Spectrum of a block of recurrent weights.

    Attributes:
        eigenvalues: [real, imaginary] each; empty where the block is not square.
        singular_values: decreasing.
        radius: the largest |eigenvalue|; nan where there is none.
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
    """Spectra of the recurrent weights by block, and of J_t = ∂s_t/∂s_{t-1} at sampled steps.

    Attributes:
        weights: by block: "weight_hh", or gate by gate.
        jacobian_eigenvalues: [real, imaginary] each, of all sampled steps together.
        jacobian_norms: the largest singular value of each sampled J_t.
        jacobian_radii: the largest |eigenvalue| of each sampled J_t.
        bound: γ σ_max(W_hh), the bound of Pascanu et al. (2013) on the growth in a step; None where the cell has none.
    """

    weights: dict[str, MatrixSpectrum]
    jacobian_eigenvalues: list[list[float]]
    jacobian_norms: list[float]
    jacobian_radii: list[float]
    bound: float | None


@dataclass(frozen=True)
class Lyapunov:
    """Lyapunov exponents per step, decreasing, with their standard errors.

    -inf is a direction that is lost at once. The exponents are means over `steps` steps of `rows` rows, after
    `discarded` steps in which the directions aligned.
    """

    exponents: list[float]
    errors: list[float]
    steps: int
    rows: int
    discarded: int


class Role(StrEnum):
    """Role of an activation in its cell."""

    CONTENT = "content"  # is written to the state; its slope is a factor of the gradient
    KEEP = "keep"  # the share of the old state that is kept
    GATE = "gate"  # lets something in or out


@dataclass(frozen=True)
class Activation:
    """Activations of one name ("forget gate", "h", …) over all steps, rows and units.

    Attributes:
        low, high: the ends of the range; infinite where the range has no end.
        mean: the mean.
        at_low, at_high: the shares of values within a twentieth of the range of either end.
        histogram: shares in 20 equal bins from the least to the greatest value that came, or from low to high.
        edges: the 21 edges of the bins.
        time_constants: for the role KEEP: the quantiles 0.05, 0.25, 0.5, 0.75, 0.95 over units of
            -1 / mean ln(kept share), in steps; empty for other roles.
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
    """Units of a recurrence: their number, the number of dead units (which never change), and their size.

    `state_norms` is the root mean square of h_t over rows and units, step by step. `preactivation` is the root mean
    square of the inputs of the content activations; nan where the cell does not give them.
    """

    units: int
    dead: int
    state_norms: list[float]
    preactivation: float = float("nan")


@dataclass(frozen=True)
class LayerFlow:
    """Flow through one direction of one recurrent layer.

    Attributes:
        name: as a tap names it: "recurrent.l0", "l1_reverse". Steps of a reverse direction count in its order.
        cell: the name of the class of the cell.
        linear: whether J_t does not depend on the state.
        size: S.
        by_step: root mean square over rows of ‖∂L/∂s_t‖, total, before clipping, for t = 0 … T - 1.
        by_member: the same for each member of the state.
        clipped: share of steps at which per-step clipping took effect; 0 without clipping.
        by_lag, horizons, shares, gains, spectrum, lyapunov, activations, units: see the classes; None or empty where
            they were not asked for or cannot be computed.
    """

    name: str
    cell: str
    linear: bool
    size: int
    by_step: list[float]
    by_member: dict[str, list[float]]
    clipped: float
    by_lag: LagCurve | None = None
    horizons: list[Horizon] = field(default_factory=list)
    shares: list[LagShare] = field(default_factory=list)
    gains: GainMap | None = None
    spectrum: Spectrum | None = None
    lyapunov: Lyapunov | None = None
    activations: list[Activation] = field(default_factory=list)
    units: Units | None = None


class Source(StrEnum):
    """Source of the first value that is not finite."""

    WEIGHTS = "weights"
    INPUT = "input"
    STATE = "state"
    LOSS = "loss"
    GRADIENT = "gradient"


@dataclass(frozen=True)
class NonFinite:
    """First NaN or infinity, in the order of the computation: source, layer (or weight), step and row.

    Step and row are -1 where they have no meaning (weights, loss).
    """

    source: Source
    layer: str
    step: int
    row: int


@dataclass(frozen=True)
class Finding:
    """Verdict with the figures that decided it.

    Attributes:
        verdict: the verdict.
        layer: the layer that decided the verdict; "" for the whole model.
        numbers: name → figure that decided the verdict.
        sentence: the verdict in words, with the figures.
        suggestions: sentences on what to try, each with the figure that it follows from; the most promising first.
    """

    verdict: Verdict
    layer: str
    numbers: dict[str, float]
    sentence: str
    suggestions: list[str]


@dataclass(frozen=True)
class Flow:
    """Diagnosis of a model on a batch.

    Attributes:
        update: number of updates of the weights before the diagnosis; None where nobody counted.
        steps, rows: T and B of the batch.
        loss: L.
        wanted_lag: number of steps back that the gradient is wanted, by which vanishing is judged.
        layers: in the order of the computation.
        nonfinite: None where all is finite.
        finding: the verdict.
        seconds: duration of the diagnosis.
    """

    update: int | None
    steps: int
    rows: int
    loss: float
    wanted_lag: int
    layers: list[LayerFlow]
    nonfinite: NonFinite | None
    finding: Finding | None
    seconds: float


def write_flows(folder: Path, flows: list[Flow]) -> None:
    """Write `diagnosis.json`."""
    plain = {"format": FLOW_FORMAT, "diagnoses": to_plain(flows)}
    write_aside(folder / DIAGNOSES, (json.dumps(plain, allow_nan=False) + "\n").encode())


def read_flows(folder: Path) -> list[Flow]:
    """Read `diagnosis.json`.

    Raises:
        RunFolderError: the file is missing, damaged or of another version.
    """
    try:
        plain = json.loads(content(folder, DIAGNOSES))
        version = plain["format"]
    except (ValueError, KeyError, TypeError):
        raise damaged(folder / DIAGNOSES, f"make it anew, with throughtime diagnose {folder}") from None
    if version != FLOW_FORMAT:
        raise RunFolderError(
            f"{folder / DIAGNOSES} has format {version!r} and this throughtime reads format {FLOW_FORMAT}: diagnose "
            f"the run anew, with throughtime diagnose {folder}."
        )
    try:
        return from_plain(list[Flow], plain["diagnoses"])
    except (ValueError, KeyError, TypeError):
        raise damaged(folder / DIAGNOSES, f"make it anew, with throughtime diagnose {folder}") from None
