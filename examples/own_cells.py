"""Train two recurrences written as plain functions, with three gradient methods.

A leaky rate network, as used in neuroscience, and a minimal gated unit learn to recall which of two stimuli they saw
three steps ago.

    python examples/own_cells.py
"""

import argparse
import math
import time
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

import throughtime as tt
from throughtime.gradients import GradientMethod

UNITS, STIMULI, DELAY, STEPS, BATCH = 12, 2, 3, 8, 32
BASELINE = math.log(2)
"""Cross-entropy of a constant answer of ½."""
TIME_STEP, TIME_CONSTANT = 10.0, 40.0
"""Constants of the rate network, in milliseconds."""

Function = Callable[[Mapping[str, Tensor], Tensor, Tensor], Tensor]
METHODS: tuple[GradientMethod, ...] = (tt.BPTT(), tt.RTRL(), tt.SnAp(order=1))


def rate_network(p: Mapping[str, Tensor], x: Tensor, h: Tensor) -> Tensor:
    """Return an Euler step of the rate network τ dh/dt = -h + W tanh(h) + W_in x + b."""
    drive = torch.tanh(h) @ p["w"].T + x @ p["w_in"].T + p["b"]
    return h + TIME_STEP / TIME_CONSTANT * (drive - h)


def minimal_gated_unit(p: Mapping[str, Tensor], x: Tensor, h: Tensor) -> Tensor:
    """Return a step of the minimal gated unit, whose gate forgets and admits (Zhou et al. 2016)."""
    f = torch.sigmoid(x @ p["w_f"].T + h @ p["u_f"].T + p["b_f"])
    n = torch.tanh(x @ p["w_n"].T + (f * h) @ p["u_n"].T + p["b_n"])
    return (1 - f) * h + f * n


def initial_values(function: Function) -> dict[str, Tensor]:
    """Draw normal weights of variance 1 / fan-in; biases are zero."""
    square, wide, bias = (UNITS, UNITS), (UNITS, STIMULI), (UNITS,)
    shapes: dict[str, tuple[int, ...]]
    if function is rate_network:
        shapes = {"w": square, "w_in": wide, "b": bias}
    else:
        shapes = {"w_f": wide, "u_f": square, "b_f": bias, "w_n": wide, "u_n": square, "b_n": bias}
    return {
        name: torch.randn(shape) / shape[1] ** 0.5 if len(shape) > 1 else torch.zeros(shape)
        for name, shape in shapes.items()
    }


def train(function: Function, method: GradientMethod, updates: int) -> float:
    """Return the cross-entropy on new sequences after that many updates."""
    torch.manual_seed(0)
    values = initial_values(function)
    layer = tt.Recurrent(function, parameters=values, hidden_size=UNITS, input_size=STIMULI, gradient=method)
    readout = nn.Linear(UNITS, 1)
    model = nn.ModuleList([layer, readout])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(updates):
        loss = recall_loss(layer, readout, BATCH)
        optimizer.zero_grad()
        loss.backward()
        tt.clip_gradients(model, norm=1.0)
        optimizer.step()
    with torch.no_grad():
        return float(recall_loss(layer, readout, 1000))


def recall_loss(layer: nn.Module, readout: nn.Module, batch: int) -> Tensor:
    """Return the cross-entropy of naming, at each step, the stimulus of `DELAY` steps before."""
    shown = torch.randint(2, (STEPS, batch))
    h, _ = layer(nn.functional.one_hot(shown, STIMULI).float())
    return cross_entropy(readout(h[DELAY:]).squeeze(-1), shown[:-DELAY].float())


def main(arguments: Sequence[str] | None = None) -> dict[tuple[str, str], float]:
    """Train each cell with each method and print the losses."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer updates, in seconds")
    updates = 50 if parser.parse_args(arguments).quick else 300
    torch.set_num_threads(1)
    print(f"recall after {DELAY} steps; {updates} updates; chance is ln 2 = {BASELINE:.4f} nats")
    losses = {}
    for function in (rate_network, minimal_gated_unit):
        for method in METHODS:
            name, start = type(method).__name__, time.perf_counter()
            losses[function.__name__, name] = loss = train(function, method, updates)
            print(f"{function.__name__:<20}{name:<6}{loss:>8.4f} nats{time.perf_counter() - start:>8.1f} s", flush=True)
    return losses


if __name__ == "__main__":
    main()
