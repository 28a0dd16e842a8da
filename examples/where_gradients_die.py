"""Measure where the gradients of RNN, GRU and LSTM die, before and after training.

Adding: two of the numbers in a sequence are marked, the first of them in its first half, and the answer at the end is
their sum. A network that always answers with the mean has an error of 1/6. The gradient must reach back to the marks;
the script measures how far it does before and after training, and the error.

    python examples/where_gradients_die.py                  # the table, and docs/where_gradients_die.png
    python examples/where_gradients_die.py --pages docs/reports     # and a report on each network
"""

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

import throughtime as tt
from throughtime.data.problems import adding
from throughtime.diagnosis import GradientFlow
from throughtime.layers import RecurrentLayer
from throughtime.report import page_of_flow

RATE, CLIP = 0.01, 1.0
COLOURS = ("#000000", "#E69F00", "#0072B2", "#009E73", "#D55E00")
BASELINE = 1 / 6


class Network(nn.Module):
    """Recurrent layer with a linear readout of its last output."""

    def __init__(self, recurrent: RecurrentLayer, units: int) -> None:
        super().__init__()
        self.recurrent = recurrent
        self.readout = nn.Linear(units, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.readout(self.recurrent(x)[0][-1])[:, 0]


def rnn(units: int, steps: int) -> RecurrentLayer:
    """Return an RNN, initialised as in torch.nn."""
    return tt.RNN(2, units)


def orthogonal_rnn(units: int, steps: int) -> RecurrentLayer:
    """Return an RNN with orthogonal weights: only the slope of tanh shrinks its gradient."""
    layer = tt.RNN(2, units)
    nn.init.orthogonal_(layer.weight_hh_l0)
    return layer


def gru(units: int, steps: int) -> RecurrentLayer:
    """Return a GRU, initialised as in torch.nn."""
    return tt.GRU(2, units)


def lstm(units: int, steps: int) -> RecurrentLayer:
    """Return an LSTM, initialised as in torch.nn: forget gates near one half."""
    return tt.LSTM(2, units)


def chrono_lstm(units: int, steps: int) -> RecurrentLayer:
    """Return an LSTM with chrono initialisation (Tallec & Ollivier 2018): b_f = ln u, b_i = -b_f, u up to T - 1."""
    layer = tt.LSTM(2, units)
    bias = torch.empty(units).uniform_(1, steps - 1).log()
    with torch.no_grad():
        layer.bias_hh_l0.zero_()
        layer.bias_ih_l0.zero_()
        layer.bias_ih_l0[:units], layer.bias_ih_l0[units : 2 * units] = -bias, bias
    return layer


KINDS: dict[str, Callable[[int, int], RecurrentLayer]] = {
    "RNN": rnn,
    "RNN, orthogonal": orthogonal_rnn,
    "GRU": gru,
    "LSTM": lstm,
    "LSTM, chrono": chrono_lstm,
}


@dataclass(frozen=True)
class Result:
    """Result of a network: its gradient before and after training, and its error on new sequences."""

    name: str
    before: GradientFlow
    after: GradientFlow
    error: float


def run(name: str, options: argparse.Namespace) -> Result:
    """Measure a network, train it, and measure it again."""
    torch.manual_seed(options.seed)
    model = Network(KINDS[name](options.units, options.steps), options.units)
    generator = torch.Generator().manual_seed(options.seed + 1)
    held_out = adding(options.steps, 500, options.seed + 2)
    before = measure(model, held_out.x, held_out.y)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    for _ in range(options.updates):
        problem = adding(options.steps, 32, generator)
        optimizer.zero_grad()
        nn.functional.mse_loss(model(problem.x), problem.y).backward()
        tt.clip_gradients(model, norm=CLIP)
        optimizer.step()
    with torch.no_grad():
        error = float(nn.functional.mse_loss(model(held_out.x), held_out.y))
    return Result(name, before, measure(model, held_out.x, held_out.y), error)


def measure(model: Network, x: Tensor, y: Tensor) -> GradientFlow:
    """Measure the flow of the gradient on 64 of the sequences; the marks lie up to T - 1 steps back."""
    return tt.gradient_flow(model, nn.functional.mse_loss, x[:, :64], y[:64], wanted_lag=len(x) // 2)


def draw(results: list[Result], path: Path) -> None:
    """Draw the gradient of the final loss by lag: before training on the left, after it on the right."""
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    for axes, when, title in zip(panels, ("before", "after"), ("Before training", "After training"), strict=True):
        for result, colour in zip(results, COLOURS, strict=True):
            curve = getattr(result, when).by_lag["recurrent.l0"]
            dashed = "--" if "," in result.name else "-"
            label = f"{result.name}: error {result.error:.4f}" if when == "after" else result.name
            median = [value if value > 0 else math.nan for value in curve.quantiles["0.5"]]
            axes.plot(range(len(median)), median, dashed, color=colour, label=label)
        axes.axhline(0.01, color="0.5", linewidth=1, linestyle=":")
        axes.set(yscale="log", ylim=(1e-6, 1e2), xlabel="lag, in steps", title=title)
        axes.legend(loc="upper right", fontsize=8, ncols=2)
    panels[0].set_ylabel("gradient of the loss by the state, over that at lag 0")
    figure.savefig(path, dpi=110)


def write_page(result: Result, updates: int, folder: Path) -> None:
    """Write the report of a network: its gradient before and after training."""
    flows = [replace(result.before.record, update=0), replace(result.after.record, update=updates)]
    name = result.name.lower().replace(", ", "_")
    page_of_flow(flows, folder / f"adding_{name}.html", f"{result.name} on the adding problem")


def main(arguments: Sequence[str] | None = None) -> list[Result]:
    """Run every network, print the table and draw the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="short sequences and few updates: seconds")
    parser.add_argument("--units", type=int, default=32)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--updates", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent.parent / "docs/where_gradients_die.png")
    parser.add_argument("--pages", type=Path, help="a folder that exists, for a report on each network")
    options = parser.parse_args(arguments)
    if options.quick:
        options.steps, options.updates = 30, 20
    torch.set_num_threads(1)
    print(f"{'network':<18}{'error':>9}{'before: 1/e':>13}{'1 %':>8}{'after: 1/e':>13}{'1 %':>8}  verdict after")
    results = []
    for name in KINDS:
        results.append(run(name, options))
        print(_row(results[-1]), flush=True)
        if options.pages:
            write_page(results[-1], options.updates, options.pages)
    print(f"{'the mean':<18}{BASELINE:>9.4f}")
    draw(results, options.output)
    return results


def _row(result: Result) -> str:
    cells = []
    for flow in (result.before, result.after):
        short, long = flow.horizon["recurrent.l0"]
        cells += [f"{short.lag:>13.1f}", f"{long.lag:>8.1f}"]
    return f"{result.name:<18}{result.error:>9.4f}{''.join(cells)}  {result.after.verdict.value}"


if __name__ == "__main__":
    main()
