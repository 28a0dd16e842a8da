"""Compare what gradient methods remember, on a stream with two dependencies, learned online.

At each step of a stream of coins X the target is 1 with probability 0.5 + 0.5 X_{t-3} - 0.25 X_{t-8}. The best
cross-entropy is 0.661563 nats without a memory, 0.519167 with lag 3, 0.454454 with both. With each method the same tanh
network learns the same stream.

    python examples/two_dependencies.py                     # the table, and docs/two_dependencies.png
"""

import argparse
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from torch.optim.lr_scheduler import LambdaLR

import throughtime as tt
from throughtime.data.problems import Problem, two_dependency_entropies, two_dependency_stream
from throughtime.gradients import GradientMethod

LEARNING_RATE, CLIP = 0.005, 1.0
DRAWN_EVERY = 10
COLOURS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#D55E00", "#0072B2", "#CC79A7")
"""Colours of Okabe and Ito, which colour-blind readers can tell apart."""


class Predictor(nn.Module):
    """Tanh network that predicts the logit of each target."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.recurrent = tt.RNN(1, hidden_size)
        self.readout = nn.Linear(hidden_size, 1)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        h, after = self.recurrent(x, state)
        return self.readout(h).squeeze(-1), after


@dataclass(frozen=True)
class Result:
    """Result of a method on the stream.

    Attributes:
        name: the method.
        losses: the mean cross-entropy of the rows at each step, before learning from it.
        final: the cross-entropy of the last weights on another stream.
        seconds: the time for the whole stream.
        carried: bytes that are kept from step to step beside the state.
    """

    name: str
    losses: Tensor
    final: float
    seconds: float
    carried: int


def learn_online(method: GradientMethod, stream: Problem, model: Predictor) -> tuple[Tensor, int]:
    """Learn with an update at each step; return the loss of each step, and the bytes carried along."""
    optimizer, schedule = _optimizer(model, len(stream.x))
    learner = tt.OnlineLearner(model, cross_entropy, optimizer, method, clip=CLIP)
    losses = []
    for x, y in zip(stream.x, stream.y, strict=True):
        losses.append(learner.step(x, y).loss)
        schedule.step()
    return torch.stack(losses), _bytes(learner.state_dict()["memory"])


def learn_from_windows(steps: int, stream: Problem, model: Predictor) -> tuple[Tensor, int]:
    """Learn from the latest steps alone, with a network that starts each window from zero."""
    optimizer, schedule = _optimizer(model, len(stream.x))
    losses = []
    for t in range(steps - 1, len(stream.x)):
        window = stream.x[t + 1 - steps : t + 1]
        loss = cross_entropy(model(window)[0][-1], stream.y[t])
        optimizer.zero_grad()
        loss.backward()
        tt.clip_gradients(model, norm=CLIP)
        optimizer.step()
        schedule.step()
        losses.append(loss.detach())
    return torch.stack(losses), steps * stream.x[0].nbytes


@torch.no_grad()
def evaluate(model: Predictor, stream: Problem, window: int | None) -> float:
    """Return the cross-entropy of a trained model, after the first 50 steps."""
    if window is None:
        return float(cross_entropy(model(stream.x)[0][50:], stream.y[50:]))
    windows = stream.x.unfold(0, window, 1).flatten(0, 1).permute(2, 0, 1)  # [window, (steps - window + 1) · batch, 1]
    return float(cross_entropy(model(windows)[0][-1], stream.y[window - 1 :].flatten()))


def run(name: str, method: GradientMethod | int, options: argparse.Namespace) -> Result:
    """Run a method, or a window of that many steps, with the same initial weights and stream."""
    stream = two_dependency_stream(options.steps, options.batch, seed=options.seed + 1)
    torch.manual_seed(options.seed)
    model = Predictor(options.hidden)
    window = method if isinstance(method, int) else None
    start = time.perf_counter()
    if isinstance(method, int):
        losses, carried = learn_from_windows(method, stream, model)
    else:
        losses, carried = learn_online(method, stream, model)
    seconds = time.perf_counter() - start
    final = evaluate(model, two_dependency_stream(2000, 100, seed=options.seed + 2), window)
    return Result(name, losses, final, seconds, carried)


def panels(quick: bool) -> dict[str, dict[str, GradientMethod | int]]:
    """Return the methods of each panel of the picture."""
    windows, horizons = ((5, 9), (4, 9)) if quick else ((5, 8, 9), (1, 3, 4, 5, 8, 9, 20))
    forward: dict[str, GradientMethod | int] = {"RTRL": tt.RTRL()}
    if not quick:
        forward |= {"SnAp(1)": tt.SnAp(1), "UORO": tt.UORO(), "RFLO": tt.RFLO(), "EProp": tt.EProp()}
    return {
        "Windows of n steps, each from a zero state": {f"window {n}": n for n in windows},
        "TruncatedBPTT(horizon), the state carried on": {f"horizon {n}": tt.TruncatedBPTT(n) for n in horizons},
        "Methods that carry the influence of the weights": forward,
    }


def draw(results: dict[str, list[Result]], path: Path, smoothing: int) -> None:
    """Draw the losses along the stream, averaged over `smoothing` steps, and the three levels."""
    figure = Figure(figsize=(8, 10), layout="constrained")
    rows = figure.subplots(len(results), sharex=True, sharey=True)
    for axes, (title, panel) in zip(rows, results.items(), strict=True):
        for level, meaning in zip(two_dependency_entropies(), ("no memory", "lag 3", "lags 3, 8"), strict=True):
            axes.axhline(level, color="0.5", linewidth=1, linestyle=":")
            axes.annotate(
                meaning, (1, level), (4, 0), ("axes fraction", "data"), "offset points", va="center", fontsize=9
            )
        for index, (result, colour) in enumerate(zip(panel, COLOURS, strict=False)):
            steps = torch.arange(smoothing, len(result.losses) + 1)[::DRAWN_EVERY]
            means = result.losses.unfold(0, smoothing, 1).mean(dim=-1)[::DRAWN_EVERY]
            dashed = index % 2 == 1  # and on top, so that the line under it stays visible
            axes.plot(steps, means, "--" if dashed else "-", color=colour, zorder=2 + dashed, label=result.name)
        axes.set_title(title, fontsize=11, loc="left", pad=22)
        axes.set_ylabel("cross-entropy, nats")
        axes.set_ylim(0.44, 0.70)
        place = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2, "ncols": len(panel)}
        legend = axes.legend(**place, frameon=False, fontsize=9, handlelength=1.6, columnspacing=1)
        legend.set_in_layout(False)
    rows[-1].set_xlabel(f"step of the stream (each point is the mean over the {smoothing} steps before)")
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=100)
    Image.open(drawn).quantize(64).save(path, format="png", optimize=True)  # a third of the bytes


def main(arguments: Sequence[str] | None = None) -> dict[str, Result]:
    """Run every method, print the table and write the picture."""
    options = _options(arguments)
    torch.set_num_threads(options.threads)
    levels = two_dependency_entropies()
    print(f"{options.steps} steps of {options.batch} streams, {options.hidden} tanh units, {options.threads} thread(s)")
    print(f"best without memory {levels.nothing:.6f}, with lag 3 {levels.lag_3:.6f}, with both {levels.both:.6f}")
    print(f"{'method':<12}{'cross-entropy':>14}{'seconds':>10}{'bytes carried':>15}")
    results: dict[str, list[Result]] = {}
    for title, panel in panels(options.quick).items():
        results[title] = []
        for name, method in panel.items():
            result = run(name, method, options)
            print(f"{name:<12}{result.final:>14.4f}{result.seconds:>10.1f}{result.carried:>15,}", flush=True)
            results[title].append(result)
    draw(results, options.output, smoothing=max(1, options.steps // 25))
    print(f"picture: {options.output}")
    return {result.name: result for panel in results.values() for result in panel}


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="five methods and a short stream, in seconds")
    parser.add_argument("--output", type=Path, default=Path("docs/two_dependencies.png"), help="the picture")
    parser.add_argument("--hidden", type=int, default=24, help="units")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    options.batch = 64
    options.steps = 1200 if options.quick else 5000
    return options


def _optimizer(model: nn.Module, steps: int) -> tuple[torch.optim.Optimizer, LambdaLR]:
    """Return Adam, and a schedule that falls to zero over the second half."""
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    return optimizer, LambdaLR(optimizer, lambda step: min(1.0, 2 - 2 * step / steps))


def _bytes(memory: Any) -> int:
    """Return the bytes of all tensors in nested containers."""
    if isinstance(memory, Tensor):
        return memory.nbytes
    if isinstance(memory, dict):
        memory = list(memory.values())
    return sum(map(_bytes, memory)) if isinstance(memory, list | tuple) else 0


if __name__ == "__main__":
    main()
