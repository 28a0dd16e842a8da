"""Compare gradient methods on two problems that need a memory: loss, time and memory.

Copy memory: ten symbols, a wait, then the network must repeat the ten symbols, each WAIT + 10 steps after it was seen.
Adding: two of the numbers in a sequence are marked, and the answer at its end is their sum. A network without memory
reaches the baselines 10 ln 8 / (WAIT + 20) and 1/6 at best.

    python examples/copy_and_adding.py
"""

import argparse
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.profiler import ProfilerActivity, profile

import throughtime as tt
from throughtime.data.problems import Problem, adding, copy_memory
from throughtime.gradients import GradientMethod

WAIT, NUMBERS = 20, 50
FORGET_BIAS, CLIP, RATE = 1.0, 1.0, 0.01
LAYERS = {"LSTM": tt.LSTM, "GRU": tt.GRU}

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else the profiler reports its starts and stops


@dataclass(frozen=True)
class Task:
    """Problem, with the sizes of the network that learns it.

    Attributes:
        draw: (rows, generator) → new sequences.
        loss: (the readout's output [time, batch, outputs], targets) → a scalar.
        inputs, outputs, units, rows: sizes.
    """

    draw: Callable[[int, torch.Generator], Problem]
    loss: Callable[[Tensor, Tensor], Tensor]
    inputs: int
    outputs: int
    units: int
    rows: int


@dataclass(frozen=True)
class Result:
    """Result of a training.

    Attributes:
        loss, baseline: on 1000 new sequences.
        updates: the number of updates.
        seconds: their time together.
        memory: the most bytes that a forward and backward pass held at a time.
    """

    loss: float
    baseline: float
    updates: int
    seconds: float
    memory: int


TASKS = {
    "copy": Task(
        lambda rows, generator: copy_memory(WAIT, rows, generator),
        tt.losses.cross_entropy,
        inputs=10, outputs=10, units=64, rows=64,
    ),
    "adding": Task(
        lambda rows, generator: adding(NUMBERS, rows, generator),
        lambda output, sums: nn.functional.mse_loss(output[-1, :, 0], sums),
        inputs=2, outputs=1, units=16, rows=32,
    ),
}  # fmt: skip

RUNS: tuple[tuple[str, str, GradientMethod, int], ...] = (
    ("copy", "LSTM", tt.BPTT(), 4000),
    ("copy", "GRU", tt.BPTT(), 3000),
    ("copy", "GRU", tt.BPTT(save="states"), 3000),
    ("copy", "GRU", tt.CheckpointedBPTT(segments=6), 3000),
    ("copy", "GRU", tt.TruncatedBPTT(10), 3000),
    ("adding", "LSTM", tt.BPTT(), 2000),
    ("adding", "GRU", tt.BPTT(), 500),
    ("adding", "GRU", tt.BPTT(save="states"), 500),
    ("adding", "GRU", tt.TruncatedBPTT(10), 500),
    ("adding", "GRU", tt.TruncatedBPTT(25), 500),
    ("adding", "GRU", tt.RTRL(), 500),
    ("adding", "GRU", tt.SnAp(1), 500),
)
"""Problem, cell, method, number of updates."""
QUICK: tuple[tuple[str, str, GradientMethod, int], ...] = (
    ("copy", "GRU", tt.BPTT(), 1500),
    ("adding", "GRU", tt.BPTT(), 500),
    ("adding", "GRU", tt.TruncatedBPTT(10), 500),
)


class Network(nn.Module):
    """LSTM or GRU layer with a linear readout at every step."""

    def __init__(self, task: Task, cell: str, method: GradientMethod) -> None:
        super().__init__()
        self.recurrent = LAYERS[cell](task.inputs, task.units, gradient=method)
        self.readout = nn.Linear(task.units, task.outputs)
        with torch.no_grad():
            for square in self.recurrent.weight_hh_l0.split(task.units):
                nn.init.orthogonal_(square)
            # The second block is the LSTM's forget gate, and the GRU's z, which keeps the old state likewise.
            self.recurrent.bias_ih_l0[task.units : 2 * task.units] = FORGET_BIAS

    def forward(self, x: Tensor) -> Tensor:
        return self.readout(self.recurrent(x)[0])


def train(task: Task, cell: str, method: GradientMethod, updates: int) -> Result:
    """Train on new sequences at every update, and test on others."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    network = Network(task, cell, method)
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    schedule = LambdaLR(optimizer, lambda update: min(1.0, 2 - 2 * update / updates))
    start = time.perf_counter()
    for _ in range(updates):
        problem = task.draw(task.rows, generator)
        optimizer.zero_grad()
        task.loss(network(problem.x), problem.y).backward()
        tt.clip_gradients(network, norm=CLIP)
        optimizer.step()
        schedule.step()
    seconds, new = time.perf_counter() - start, task.draw(1000, generator)
    with torch.no_grad():
        loss = float(task.loss(network(new.x), new.y))
    return Result(loss, new.baseline, updates, seconds, _most_memory(network, task, generator))


def main(arguments: Sequence[str] | None = None) -> list[tuple[str, str, str, Result]]:
    """Train every combination and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="three of the runs, in seconds")
    runs = QUICK if parser.parse_args(arguments).quick else RUNS
    torch.set_num_threads(1)
    print(f"copy: wait {WAIT}, {TASKS['copy'].units} units; adding: {NUMBERS} numbers, {TASKS['adding'].units} units")
    print(f"{'problem':<8}{'cell':<6}{'method':<26}{'loss':>8}{'baseline':>10}{'updates':>9}{'seconds':>9}{'kB':>8}")
    results = []
    for name, cell, method, updates in runs:
        result = train(TASKS[name], cell, method, updates)
        results.append((name, cell, _short(method), result))
        print(
            f"{name:<8}{cell:<6}{_short(method):<26}{result.loss:>8.4f}{result.baseline:>10.4f}{result.updates:>9}"
            f"{result.seconds:>9.1f}{result.memory / 1000:>8.0f}",
            flush=True,
        )
    return results


def _most_memory(network: Network, task: Task, generator: torch.Generator) -> int:
    """Return the peak of PyTorch's allocations in a forward and backward pass, without parameters and inputs."""
    problem = task.draw(task.rows, generator)
    network.zero_grad()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        task.loss(network(problem.x), problem.y).backward()
    assert recorded.profiler is not None
    events = [event for event in recorded.profiler.kineto_results.events() if event.name() == "[memory]"]
    return max(accumulate(event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())))


def _short(method: GradientMethod) -> str:
    """Return the method as an expression, without arguments that are None."""
    fields = (f"{name}={value!r}" for name, value in vars(method).items() if value is not None)
    return f"{type(method).__name__}({', '.join(fields)})"


if __name__ == "__main__":
    main()
