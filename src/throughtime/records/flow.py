"""What a diagnosis of the gradient's flow through time leaves behind: plain numbers, which a report reads.

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
    """What the flow of a gradient through time is like."""

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
    """How a gradient changes on its way back: ratios ‖∂L_t/∂s_{t-k}‖ / ‖∂L_t/∂s_t‖ by lag k = 0, 1, …, K.

    They are taken over samples (t, row); `mean` and `quantiles` (name: "0.05", "0.25", "0.5", "0.75", "0.95") over
    those that reach back so far, of which `samples` has the number. `norm` is the median of ‖∂L_t/∂s_t‖.
    """

    mean: list[float]
    quantiles: dict[str, list[float]]
    samples: list[int]
    norm: float


@dataclass(frozen=True)
class Horizon:
    """The lag from which on the median of the lag curve stays below `level`; fractional, interpolated in logarithms.

    `low` and `high` bound it with 90 % confidence (bootstrap over rows). inf: it does not fall so far within
    `observed`, the largest lag that was seen. nan: there was no gradient.
    """

    level: float
    lag: float
    low: float
    high: float
    observed: int


@dataclass(frozen=True)
class LagShare:
    """‖·‖ of the part of ∂L/∂(the recurrence's parameters) that comes by way of the lags start … stop - 1."""

    start: int
    stop: int
    norm: float


@dataclass(frozen=True)
class GainMap:
    """Root-mean-square gain ‖∂s_t/∂s_r‖_F / √S: `gain[i][j]` for t = `to_steps[i]`, r = `from_steps[j]`; nan for r > t.

    1 on the diagonal; it is estimated from random probes, or exact, with the spectral norm beside it.
    """

    to_steps: list[int]
    from_steps: list[int]
    gain: list[list[float]]
    spectral: list[list[float]] | None = None


@dataclass(frozen=True)
class MatrixSpectrum:
    """Of one block of recurrent weights.

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
    """Of the recurrent weights by block ("weight_hh", or gate by gate), and of J_t = ∂s_t/∂s_{t-1} at sampled steps.

    Attributes:
        jacobian_eigenvalues: [real, imaginary] each, of all sampled steps together.
        jacobian_norms: the largest singular value of each sampled J_t.
        jacobian_radii: the largest |eigenvalue| of each.
        bound: γ σ_max(W_hh), by which Pascanu et al. (2013) bound a step's growth; None where the cell has no such.
    """

    weights: dict[str, MatrixSpectrum]
    jacobian_eigenvalues: list[list[float]]
    jacobian_norms: list[float]
    jacobian_radii: list[float]
    bound: float | None


@dataclass(frozen=True)
class Lyapunov:
    """Lyapunov exponents per step, decreasing, with their standard errors; -inf where a direction is lost at once.

    They are means over `steps` steps of `rows` rows, after `discarded` steps in which the directions aligned.
    """

    exponents: list[float]
    errors: list[float]
    steps: int
    rows: int
    discarded: int


class Role(StrEnum):
    """What an activation does in its cell."""

    CONTENT = "content"  # what is written: its slope is a factor of the gradient
    KEEP = "keep"  # the share of the old state that is kept
    GATE = "gate"  # lets something in or out


@dataclass(frozen=True)
class Activation:
    """One kind of activation ("forget gate", "h", …) over all steps, rows and units.

    Attributes:
        low, high: the ends of its range; infinite where it has none.
        mean: its mean.
        at_low, at_high: the shares of values within a twentieth of the range of either end.
        histogram: shares in 20 equal bins from the least to the greatest value that came, or from low to high.
        edges: the 21 edges of the bins.
        time_constants: of what keeps the state: the quantiles 0.05, 0.25, 0.5, 0.75, 0.95 over units of
            -1 / mean ln(kept share), in steps; empty for the others.
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
    """The units of a recurrence: how many, how many are dead (never change), and their size step by step.

    `state_norms` has the root mean square over rows and units of h_t; `preactivation` that of what the content
    activations are applied to, nan where the cell does not say.
    """

    units: int
    dead: int
    state_norms: list[float]
    preactivation: float = float("nan")


@dataclass(frozen=True)
class LayerFlow:
    """One direction of one recurrent layer.

    Attributes:
        name: as a tap names it: "recurrent.l0", "l1_reverse". Steps of a reverse direction count in its own order.
        cell: the name of the cell's class.
        linear: whether J_t does not depend on the state.
        size: S.
        by_step: root mean square over rows of ‖∂L/∂s_t‖, total, before clipping, for t = 0 … T - 1.
        by_member: the same for each member of the state.
        clipped: share of steps at which per-step clipping took hold; 0 where there is none.
        by_lag, horizons, shares, gains, spectrum, lyapunov, activations, units: see there; None where it was not asked
            for or cannot be had.
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
    """Where something that is not finite was met first."""

    WEIGHTS = "weights"
    INPUT = "input"
    STATE = "state"
    LOSS = "loss"
    GRADIENT = "gradient"


@dataclass(frozen=True)
class NonFinite:
    """The first NaN or infinity, in the order of the computation: what, in which layer (or weight), step and row.

    Step and row are -1 where there is none (weights, loss).
    """

    source: Source
    layer: str
    step: int
    row: int


@dataclass(frozen=True)
class Finding:
    """A verdict with what decided it.

    Attributes:
        layer: the layer that decided it; "" for the whole model.
        numbers: name → the figure that decided it.
        sentence: the verdict in words, with the figures.
        suggestions: what to try, each with the figure that it follows from; most promising first.
    """

    verdict: Verdict
    layer: str
    numbers: dict[str, float]
    sentence: str
    suggestions: list[str]


@dataclass(frozen=True)
class Flow:
    """One diagnosis of one model on one batch.

    Attributes:
        update: after how many updates of the weights, None where nobody counted.
        steps, rows: T and B of the batch.
        loss: L.
        wanted_lag: how many steps back the gradient is wanted, by which vanishing is judged.
        layers: in the order of the computation.
        nonfinite: None where all is finite.
        finding: the verdict.
        seconds: how long the diagnosis took.
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
    """Read `diagnosis.json`; raises `RunFolderError` when it is missing, damaged or of another version."""
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
