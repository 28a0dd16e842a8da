"""What the record of one layer says for and against a verdict: a few numbers, each None where the record lacks it."""

import math
from collections import defaultdict
from dataclasses import dataclass
from statistics import median

from throughtime.records import Flow, Horizon, LayerFlow, Role

FEW = 5
"""The range of so many samples covers their median with 90 % confidence, that of fewer does not."""
ERRORS = 2
"""An exponent is above or below 0 where it is by so many standard errors: one time in 40 if it were 0."""
GONE = 0.01
"""Of a gradient that has this share of its norm left, rounding in half precision and noise leave nothing to learn."""


@dataclass(frozen=True)
class Evidence:
    """The numbers of one layer, by which it is judged.

    Attributes:
        wanted: how many lags are wanted.
        steps: T.
        peak, peak_lag: the greatest median of the lag curve that rests on enough samples, and its lag. In a layer with
            others above it in its module the curve may rise just because these hand down little at once and much in
            time; there it is the greatest median of the layer's own gains ‖∂s_t/∂s_{t-k}‖_F / √S, where they are known.
        end, end_lag: the last such median, and its lag.
        left, left_lag: the median at the wanted lag, or the last that was seen before it, and that lag.
        samples: of how many it is the median, or, where the curve falls to 1 % earlier, of how many the medians are
            down to there.
        horizon: the one at 1 %.
        exponent, error: λ1 and its standard error, which may be nan.
        state_growth: the mean size of the state in the second half of the steps over that in the first.
        saturated: where all content activations have ranges with two ends, so that the state stays bounded, the share
            of values that lie within a twentieth of either end, of that activation with the largest.
        kept: the median time constant of what keeps the state, in steps.
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

    @classmethod
    def of(cls, flow: Flow, layer: LayerFlow) -> "Evidence":
        """Read it off a record."""
        curve = _curve(layer)
        own = _firm(_gains(layer) if _is_below(layer, flow.layers) else curve)
        peak_lag, peak = max(own, key=lambda one: one[1])[:2] if own else (0, None)
        end_lag, end = own[-1][:2] if own else (0, None)
        before = [one for one in curve if one[0] <= flow.wanted_lag]
        left_lag, left, samples = before[-1] if before else (0, None, 0)
        horizon = next((one for one in layer.horizons if math.isclose(one.level, GONE)), None)
        if horizon is not None and horizon.lag <= left_lag:
            samples = min(here for lag, _, here in before if lag <= math.ceil(horizon.lag))
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
            kept=_kept(layer),
        )

    @property
    def has_curve(self) -> bool:
        """Whether what is left was seen at a lag."""
        return self.left is not None and self.left_lag > 0

    @property
    def has_growth(self) -> bool:
        """Whether it is known how much the gradient grows or falls within the layer."""
        return self.end is not None and self.end_lag > 0

    @property
    def has_no_step(self) -> bool:
        """Whether every row has the length 0."""
        units = self.layer.units
        return units is not None and bool(units.state_norms) and all(map(math.isnan, units.state_norms))

    @property
    def has_no_lag(self) -> bool:
        """Whether no loss has a step before it: there is one step, or the losses lie at the first ones."""
        by_lag = self.layer.by_lag
        return self.steps < 2 or (by_lag is not None and any(by_lag.samples) and not any(by_lag.samples[1:]))

    @property
    def sign(self) -> int:
        """1 or -1 where λ1 is certainly above or below 0, else 0.

        A measured -inf may be due to one row that lost its directions, as a ReLU does; it comes without an error.
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
        """By what the gradient changes per step: the curve, up to its last lag that is not 0; without it e^λ1."""
        fallen = [one for one in _curve(self.layer) if 0 < one[0] <= max(1, self.left_lag) and 0 < one[1] < math.inf]
        if fallen:
            return fallen[-1][1] ** (1 / fallen[-1][0])
        return None if self.exponent is None else factor_of(self.exponent)

    def numbers(self) -> dict[str, float]:
        """All of them that are known, by name."""
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
        }
        return {"wanted_lag": float(self.wanted)} | {k: float(v) for k, v in known.items() if v is not None}


def factor_of(exponent: float) -> float:
    """By what a norm changes per step, e^λ, as far as that is a number."""
    return math.exp(min(exponent, 700.0))


def _curve(layer: LayerFlow) -> list[tuple[int, float, int]]:
    """(lag, median, samples) of every lag that any sample reached."""
    if layer.by_lag is None or "0.5" not in layer.by_lag.quantiles:
        return []
    lags = enumerate(zip(layer.by_lag.quantiles["0.5"], layer.by_lag.samples, strict=False))
    return [(lag, here, samples) for lag, (here, samples) in lags if samples and not math.isnan(here)]


def _gains(layer: LayerFlow) -> list[tuple[int, float, int]]:
    """(lag, median, how many) of the map of gains."""
    by_lag: dict[int, list[float]] = defaultdict(list)
    if layer.gains is not None:
        for to_step, gains in zip(layer.gains.to_steps, layer.gains.gain, strict=True):
            for from_step, gain in zip(layer.gains.from_steps, gains, strict=True):
                if not math.isnan(gain):
                    by_lag[to_step - from_step].append(gain)
    return [(lag, median(by_lag[lag]), len(by_lag[lag])) for lag in sorted(by_lag)]


def _firm(curve: list[tuple[int, float, int]]) -> list[tuple[int, float, int]]:
    """Without the lags that few samples reach: a quarter of the most, and `FEW`, where any lag has so many."""
    most = max((count for *_, count in curve), default=0)
    return [one for one in curve if one[2] >= max(min(FEW, most), most / 4)]


def _is_below(layer: LayerFlow, layers: list[LayerFlow]) -> bool:
    """Whether another layer of its module lies above it."""
    path, depth = _place(layer)
    return any(_place(other)[0] == path and _place(other)[1] > depth for other in layers)


def _place(layer: LayerFlow) -> tuple[str, int]:
    """Its module, and its number there: "recurrent.l1_reverse" is ("recurrent", 1)."""
    path, _, suffix = layer.name.rpartition(".")
    number = suffix.removesuffix("_reverse").removeprefix("l")
    return path, int(number) if number.isdecimal() else 0


def _exponent(layer: LayerFlow) -> tuple[float | None, float]:
    """λ1 with its error. Of a linear Elman layer it is ln|λ| of its weights, which no growth at first disturbs."""
    if layer.linear and layer.cell == "ElmanCell" and layer.spectrum is not None:
        radii = [one.radius for one in layer.spectrum.weights.values()]
        if len(radii) == 1 and not math.isnan(radii[0]):
            return (math.log(radii[0]) if radii[0] > 0 else -math.inf), 0.0
    if layer.lyapunov is None or not layer.lyapunov.exponents or math.isnan(layer.lyapunov.exponents[0]):
        return None, math.nan
    return layer.lyapunov.exponents[0], (layer.lyapunov.errors or [math.nan])[0]


def _state_growth(layer: LayerFlow) -> float | None:
    sizes = [] if layer.units is None else [size for size in layer.units.state_norms if not math.isnan(size)]
    half = len(sizes) // 2
    if not half:
        return None
    first, second = sum(sizes[:half]) / half, sum(sizes[-half:]) / half
    if first == 0 or second == math.inf:
        return 1.0 if second == 0 else math.inf
    return second / first


def _saturated(layer: LayerFlow) -> float | None:
    content = [one for one in layer.activations if one.role is Role.CONTENT]
    if not content or not all(math.isfinite(one.high - one.low) for one in content):
        return None
    return max(one.at_low + one.at_high for one in content)  # whatever is full stands in the gradient's way


def _kept(layer: LayerFlow) -> float | None:
    constants = [one.time_constants for one in layer.activations if one.role is Role.KEEP and one.time_constants]
    return None if not constants else constants[0][len(constants[0]) // 2]
