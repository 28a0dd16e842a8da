"""Read the numbers that decide a verdict off the record of a layer."""

import math
from collections import defaultdict
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

from throughtime.records import Flow, Horizon, LagGain, LayerFlow, Memory, Role

FEW = 5
"""Smallest number of samples whose range covers their median with 90 % confidence."""
ERRORS = 2
"""Standard errors by which an exponent must differ from 0. 1 in 40 exponents that are 0 exceeds it."""
GONE = 0.01
"""Share of its norm below which a gradient counts as lost. Noise and the rounding of half precision are as large."""


class _Point(NamedTuple):
    """A lag, the median at it (a ratio to lag 0, or a gain), and the number of samples under the median."""

    lag: int
    median: float
    samples: int


@dataclass(frozen=True)
class LayerEvidence:
    """Numbers that decide the verdict on a layer; None where the record lacks a number.

    Attributes:
        wanted: the number of lags over which the gradient should last.
        steps: T.
        peak, peak_lag: the greatest median of the lag curve that rests on enough samples, and its lag. Below other
            layers of its module, a layer's curve may rise because the layers above hand down little at lag 0 and more
            at larger lags; the gains ‖∂s_t/∂s_{t-k}‖_F / √S of the layer stand for the curve then, where known.
        end, end_lag: the last such median, and its lag.
        left, left_lag: the median at the wanted lag, or at the last measured lag before it, and that lag.
        samples: the number of samples of that median, or, where the curve falls to 1 % earlier, the smallest number
            down to that lag.
        horizon: the horizon at 1 %.
        exponent, error: λ1 and its standard error, which may be nan.
        state_growth: the mean size of the state in the second half of the steps over that in the first half.
        saturated: the share of values within a twentieth of either end of the range, of the content activation in which
            it is largest; None unless all content activations, and so the state, are bounded.
        kept: the median time constant of the gate that keeps the state, in steps.
        memory: which past the whole model uses, where that was measured.
    """

    layer: LayerFlow
    wanted: int
    steps: int
    peak: float | None = None
    peak_lag: int = 0
    end: float | None = None
    end_lag: int = 0
    left: float | None = None
    left_lag: int = 0
    samples: int = 0
    horizon: Horizon | None = None
    exponent: float | None = None
    error: float = math.nan
    state_growth: float | None = None
    saturated: float | None = None
    kept: float | None = None
    memory: Memory | None = None

    @classmethod
    def of(cls, flow: Flow, layer: LayerFlow) -> "LayerEvidence":
        """Read the numbers off the record of a layer."""
        curve = _curve(layer)
        firm = _firm(_gain_curve(layer) if _is_below(layer, flow.layers) else curve)
        peak_lag, peak, _ = max(firm, key=lambda point: point.median) if firm else (0, None, 0)
        end_lag, end, _ = firm[-1] if firm else (0, None, 0)
        up_to_wanted = [point for point in curve if point.lag <= flow.wanted_lag]
        left_lag, left, samples = up_to_wanted[-1] if up_to_wanted else (0, None, 0)
        horizon = next((each for each in layer.horizons if math.isclose(each.level, GONE)), None)
        if horizon is not None and horizon.lag <= left_lag:
            samples = min(point.samples for point in up_to_wanted if point.lag <= math.ceil(horizon.lag))
        exponent, error = _exponent(layer)
        return cls(
            layer=layer,
            wanted=flow.wanted_lag,
            steps=flow.steps,
            peak=peak,
            peak_lag=peak_lag,
            end=end,
            end_lag=end_lag,
            left=left,
            left_lag=left_lag,
            samples=samples,
            horizon=horizon,
            exponent=exponent,
            error=error,
            state_growth=_state_growth(layer),
            saturated=_saturated(layer),
            kept=_median_time_constant(layer),
            memory=flow.memory,
        )

    @property
    def has_curve(self) -> bool:
        """Whether the gradient was measured at a lag above 0."""
        return self.left is not None and self.left_lag > 0

    @property
    def has_growth(self) -> bool:
        """Whether the growth of the gradient within the layer is known."""
        return self.end is not None and self.end_lag > 0

    @property
    def missed(self) -> LagGain | None:
        """Inputs from beyond the reach of the gradient that would lower the loss, if any."""
        reach = float(self.wanted) if self.horizon is None else self.horizon.lag
        return None if self.memory is None else self.memory.missed(reach)

    @property
    def has_no_step(self) -> bool:
        """Whether every row has the length 0."""
        units = self.layer.units
        return units is not None and bool(units.state_norms) and all(map(math.isnan, units.state_norms))

    @property
    def has_no_lag(self) -> bool:
        """Whether no loss has an earlier step in its row. T is 1, or all losses lie at first steps."""
        by_lag = self.layer.by_lag
        return self.steps < 2 or (by_lag is not None and any(by_lag.samples) and not any(by_lag.samples[1:]))

    @property
    def sign(self) -> int:
        """Sign of λ1: 1 or -1 where it is certain, else 0.

        A measured -inf may be due to a single row that lost its directions, as a ReLU does; it has no error.
        """
        if self.exponent is None or not abs(self.exponent) > ERRORS * self.error:  # so written, NaN decides nothing
            return 0
        return 1 if self.exponent > 0 else -1

    @property
    def fell(self) -> bool:
        """Whether the curve ends at less than 1/e of its peak."""
        end, peak = self.end or 0.0, self.peak or 0.0
        return self.has_growth and end < peak and end * math.e <= peak

    @property
    def gain(self) -> float | None:
        """Factor of the gradient per step.

        It is from the curve up to its last lag that is not 0; without a curve it is e^λ1.
        """
        lags = range(1, max(1, self.left_lag) + 1)
        measured = [point for point in _curve(self.layer) if point.lag in lags and 0 < point.median < math.inf]
        if measured:
            return measured[-1].median ** (1 / measured[-1].lag)
        return None if self.exponent is None else factor_of(self.exponent)

    def numbers(self) -> dict[str, float]:
        """Return the known numbers by name."""
        known = {
            "peak": self.peak,
            "peak_lag": None if self.peak is None else self.peak_lag,
            "end": self.end,
            "end_lag": None if self.end is None else self.end_lag,
            "at_wanted_lag": self.left if self.left_lag == self.wanted else None,
            "samples": None if self.left is None else self.samples,
            "horizon": None if self.horizon is None else self.horizon.lag,
            "horizon_low": None if self.horizon is None else self.horizon.low,
            "horizon_high": None if self.horizon is None else self.horizon.high,
            "lyapunov": self.exponent,
            "lyapunov_error": None if self.exponent is None else self.error,
            "state_growth": self.state_growth,
            "saturated": self.saturated,
            "time_constant": self.kept,
            **self._of_memory(),
        }
        return {"wanted_lag": float(self.wanted)} | {k: float(v) for k, v in known.items() if v is not None}

    def _of_memory(self) -> dict[str, float | None]:
        if self.memory is None:
            return {}
        missed, lower = self.missed, self.memory.better_without
        return {
            "used": self.memory.used,
            "missed_lag": None if missed is None else missed.lag,
            "missed": None if missed is None else missed.gain,
            "missed_error": None if missed is None else missed.error,
            "better_without": None if lower is None else lower.steps,
            "targets": self.memory.targets,
        }


def factor_of(exponent: float) -> float:
    """Return the factor e^λ per step, or e^700 where that would overflow."""
    return math.exp(min(exponent, 700.0))


def _curve(layer: LayerFlow) -> list[_Point]:
    """Return the lag curve at every lag that a sample reaches."""
    if layer.by_lag is None or "0.5" not in layer.by_lag.quantiles:
        return []
    lags = enumerate(zip(layer.by_lag.quantiles["0.5"], layer.by_lag.samples, strict=False))
    return [_Point(lag, middle, samples) for lag, (middle, samples) in lags if samples and not math.isnan(middle)]


def _gain_curve(layer: LayerFlow) -> list[_Point]:
    """Return the gains by lag, from the map of gains; a sample is a pair of steps."""
    by_lag: dict[int, list[float]] = defaultdict(list)
    if layer.gains is not None:
        for to_step, gains in zip(layer.gains.to_steps, layer.gains.gain, strict=True):
            for from_step, gain in zip(layer.gains.from_steps, gains, strict=True):
                if not math.isnan(gain):
                    by_lag[to_step - from_step].append(gain)
    return [_Point(lag, median(by_lag[lag]), len(by_lag[lag])) for lag in sorted(by_lag)]


def _firm(curve: list[_Point]) -> list[_Point]:
    """Drop the lags with few samples.

    Few is less than a quarter of the most samples, or less than `FEW` where a lag has so many.
    """
    most = max((point.samples for point in curve), default=0)
    return [point for point in curve if point.samples >= max(min(FEW, most), most / 4)]


def _is_below(layer: LayerFlow, layers: list[LayerFlow]) -> bool:
    """Return whether another layer of the same module lies above."""
    return any(_module_path(other) == _module_path(layer) and other.depth > layer.depth for other in layers)


def _module_path(layer: LayerFlow) -> str:
    """Return the path of the layer's module: "recurrent" for "recurrent.l1_reverse"."""
    return layer.name.rpartition(".")[0]


def _exponent(layer: LayerFlow) -> tuple[float | None, float]:
    """Return λ1 with its standard error. For a linear layer with J_t = γ W_hh it is the exact ln γ|λ|."""
    weights, slope = {} if layer.spectrum is None else layer.spectrum.weights, layer.traits.slope_bound
    if layer.linear and slope is not None and "weight_hh" in weights:
        radius = slope * weights["weight_hh"].radius
        if not math.isnan(radius):
            return (math.log(radius) if radius > 0 else -math.inf), 0.0
    if layer.lyapunov is None or not layer.lyapunov.exponents or math.isnan(layer.lyapunov.exponents[0]):
        return None, math.nan
    return layer.lyapunov.exponents[0], (layer.lyapunov.errors or [math.nan])[0]


def _state_growth(layer: LayerFlow) -> float | None:
    """Return the mean size of h in the second half of the steps over that in the first half."""
    sizes = [] if layer.units is None else [size for size in layer.units.state_norms if not math.isnan(size)]
    half = len(sizes) // 2
    if not half:
        return None
    first, second = sum(sizes[:half]) / half, sum(sizes[-half:]) / half
    if first == 0 or second == math.inf:
        return 1.0 if second == 0 else math.inf
    return second / first


def _saturated(layer: LayerFlow) -> float | None:
    """Return the saturated share of the fullest content activation; None unless all of them are bounded."""
    content = [activation for activation in layer.activations if activation.role is Role.CONTENT]
    if not content or not all(math.isfinite(activation.high - activation.low) for activation in content):
        return None
    # The gradient passes all of them, so the fullest decides.
    return max(activation.at_low + activation.at_high for activation in content)


def _median_time_constant(layer: LayerFlow) -> float | None:
    """Return the median time constant of the keeping gate, in steps; None without such a gate."""
    keeping = (activation for activation in layer.activations if activation.role is Role.KEEP)
    constants = next((activation.time_constants for activation in keeping if activation.time_constants), [])
    return constants[len(constants) // 2] if constants else None  # the middle quantile
