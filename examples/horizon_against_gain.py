"""Measure how many steps back the gradient of a tanh network reaches, against its gain.

Lecture notes give backpropagation through time a reach of 8 to 10 steps, as if that were a constant. This script
measures the lag at which the gradient of a step's loss has fallen to 1/e and to 1 %, in networks whose recurrent
weights have a gain g (entries of standard deviation g / √H), and compares it with the theory of such networks.

    python examples/horizon_against_gain.py                 # the table, and docs/horizon_against_gain.png
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

import throughtime as tt
from throughtime.diagnosis import GradientFlow

GAINS = (0.5, 0.577, 0.6, 0.63, 0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.25, 1.5, 2.0)
"""0.577 = 1/√3 is the gain of torch.nn.RNN's initialisation: uniform in ±1/√H."""
DRIVES = (0.01, 0.3, 1.0)
"""Standard deviation of what the inputs add to a pre-activation: negligible, moderate, saturating."""
COLOURS = ("#0072B2", "#E69F00", "#009E73")
CLAIM = (8, 10)
PARTS = ("lags", "lyapunov", "activations")


class Network(nn.Module):
    """Tanh network with recurrent weights of a given gain, and a linear readout."""

    def __init__(self, units: int, gain: float, drive: float) -> None:
        super().__init__()
        self.recurrent = tt.RNN(units, units)
        self.readout = nn.Linear(units, 1)
        with torch.no_grad():
            self.recurrent.weight_hh_l0.normal_(0, gain / math.sqrt(units))
            self.recurrent.weight_ih_l0.normal_(0, drive / math.sqrt(units))
            self.recurrent.bias_ih_l0.zero_()
            self.recurrent.bias_hh_l0.zero_()

    def forward(self, x: Tensor) -> Tensor:
        return self.readout(self.recurrent(x)[0])


@dataclass(frozen=True)
class Point:
    """Measurement of a network: its horizons at 1/e and 1 %, and λ_1 with its error."""

    gain: float
    drive: float
    flow: GradientFlow

    @property
    def layer(self) -> str:
        return next(iter(self.flow.by_lag))

    def horizon(self, level: float) -> tuple[float, float, float]:
        """Return the lag, and the ends of its 90 % interval."""
        horizon = next(each for each in self.flow.horizon[self.layer] if math.isclose(each.level, level))
        return horizon.lag, horizon.low, horizon.high

    @property
    def exponent(self) -> float:
        return self.flow.lyapunov[self.layer].exponents[0]


def measure(gain: float, drive: float, options: argparse.Namespace) -> Point:
    """Measure the gradient of a network with random weights and inputs."""
    torch.manual_seed(options.seed)
    model = Network(options.units, gain, drive)
    x = torch.randn(options.steps, options.rows, options.units)
    y = torch.randn(options.steps, options.rows, 1)
    return Point(gain, drive, tt.gradient_flow(model, nn.functional.mse_loss, x, y, parts=PARTS))


def expected(gain: float, level: float) -> float:
    """Return the lag at which g^lag falls to the level: each step multiplies the norm by g, without saturation."""
    return math.log(level) / math.log(gain) if gain < 1 else math.inf


def draw(points: list[Point], path: Path) -> None:
    """Draw the horizon at 1 % against the gain, for each drive, with the claim as a band."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    axes.axhspan(*CLAIM, color="0.85", label="the claim: 8 to 10 steps")
    gains = [0.5 + 0.005 * i for i in range(98)]
    axes.plot(gains, [expected(g, 0.01) for g in gains], ":", color="black", label="ln 0.01 / ln g")
    for drive, colour, marker in zip(DRIVES, COLOURS, "os^", strict=True):
        driven = [point for point in points if point.drive == drive]
        finite = [(point.gain, *point.horizon(0.01)) for point in driven if math.isfinite(point.horizon(0.01)[0])]
        if finite:
            at, lags, low, high = zip(*finite, strict=True)
            bars = [[lag - end for lag, end in zip(lags, low, strict=True)],
                    [min(end, 10 * lag) - lag for lag, end in zip(lags, high, strict=True)]]  # fmt: skip
            axes.errorbar(at, lags, bars, color=colour, marker=marker, capsize=2, label=f"measured, drive {drive:g}")
        for point in driven:
            if not math.isfinite(point.horizon(0.01)[0]):
                axes.annotate("›", (point.gain, 0.97), xycoords=("data", "axes fraction"), color=colour, ha="center")
    axes.axvline(1 / math.sqrt(3), color="0.5", linewidth=1)
    axes.annotate(
        "torch.nn.RNN's initialisation", (1 / math.sqrt(3), 3.2), (4, 0), textcoords="offset points", fontsize=9
    )
    axes.set(
        yscale="log",
        xlabel="gain g",
        ylabel="lag at which the gradient has fallen to 1 %",
        ylim=(3, 400),
        xlim=(0.45, 2.05),
    )
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=110)


def main(arguments: Sequence[str] | None = None) -> list[Point]:
    """Measure every network, print the table and draw the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="three gains, one drive, a small network: seconds")
    parser.add_argument("--units", type=int, default=256)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent.parent / "docs/horizon_against_gain.png")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    gains, drives = GAINS, DRIVES
    if options.quick:
        gains, drives, options.units, options.steps = (0.5, 0.577, 0.9), DRIVES[:1], 64, 120
    print(f"{'drive':>5}{'gain':>7}{'1/e':>9}{'1 %':>9}{'90 %':>18}{'g alone':>9}{'λ_1':>9}  verdict")
    points = []
    for drive in drives:
        for gain in gains:
            points.append(measure(gain, drive, options))
            print(_row(points[-1]), flush=True)
    draw(points, options.output)
    return points


def _row(point: Point) -> str:
    (short, *_), (lag, low, high) = point.horizon(1 / math.e), point.horizon(0.01)
    interval = f"{low:.1f} to {high:.1f}"
    return (
        f"{point.drive:>5g}{point.gain:>7.3f}{short:>9.1f}{lag:>9.1f}{interval:>18}"
        f"{expected(point.gain, 0.01):>9.1f}{point.exponent:>9.3f}  {point.flow.verdict.value}"
    )


if __name__ == "__main__":
    main()
