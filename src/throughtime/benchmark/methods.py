"""Comparison of the gradient methods with BPTT: the gradients first, then time and memory."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor

from throughtime import gradients
from throughtime.benchmark.figures import Timing
from throughtime.benchmark.grid import Shape
from throughtime.benchmark.measure import LargeProduct, Turns, saved_bytes, take_turns
from throughtime.benchmark.memory import peak_bytes
from throughtime.benchmark.parity import relative
from throughtime.benchmark.sides import OURS
from throughtime.cells import Recurrence
from throughtime.errors import UnsupportedError
from throughtime.gradients import BPTT, GradientMethod
from throughtime.layers.base import RecurrentLayer
from throughtime.sequences import Sequence

SHAPE = Shape(8, 32, 100)
"""Default shape."""

EXAMPLES: dict[str, tuple[dict[str, Any], ...]] = {
    "BPTT": ({}, {"save": "states"}),
    "TruncatedBPTT": ({"horizon": 10},),
    "SnAp": ({"order": 1},),
}
"""Arguments of each measured variant of a gradient method; a method that is not listed is measured without any."""

TOLERANCE = 1e-10
"""Largest allowed relative distance of an exact method's gradients from BPTT's. Both are computed in float64."""

PROTOCOL = Turns(warm_ups=1, repetitions=7, seconds=1.0, cap=4.0, product_size=256)
BRIEF = Turns(warm_ups=1, repetitions=3, seconds=0.2, cap=0.5, product_size=256)


@dataclass(frozen=True)
class Candidate:
    """Gradient method, with the Python expression that creates it."""

    label: str
    method: GradientMethod


def candidates() -> list[Candidate]:
    """Return all public gradient methods: BPTT first, exact methods before the others."""
    chosen = []
    for kind in vars(gradients).values():
        if not inspect.isclass(kind) or not issubclass(kind, GradientMethod) or inspect.isabstract(kind):
            continue
        for options in EXAMPLES.get(kind.__name__, ({},)):
            arguments = ", ".join(f"{name}={value!r}" for name, value in options.items())
            chosen.append(Candidate(f"{kind.__name__}({arguments})", kind(**options)))
    return sorted(chosen, key=lambda candidate: (not isinstance(candidate.method, BPTT), not candidate.method.exact))


@dataclass(frozen=True)
class LayerRun:
    """Layer on one sequence, with the gradients of its weights; the inputs are data."""

    layer: RecurrentLayer
    x: Tensor
    cotangent: Tensor

    @property
    def leaves(self) -> tuple[Tensor, ...]:
        """Inputs of the forward pass."""
        return self.x, *self.layer.parameters()

    def forward(self) -> Tensor:
        """Return the output, with its graph."""
        return self.layer(self.x)[0]

    def backward(self, output: Tensor) -> tuple[Tensor, ...]:
        """Return the gradient of every weight."""
        return torch.autograd.grad(output, list(self.layer.parameters()), self.cotangent)

    def __call__(self) -> tuple[Tensor, ...]:
        """Run both passes."""
        return self.backward(self.forward())


@dataclass(frozen=True)
class MethodFigures:
    """Figures of a gradient method on one shape.

    Attributes:
        label: the Python expression that makes the method.
        exact: whether the method claims to be exact.
        refusal: why the method does not serve the cell, and then nothing else is known; None if it does.
        error, cosine: of the gradient of all weights together against BPTT's, in float64.
        worst: the largest relative distance of any gradient from BPTT's, inputs and states included.
        seconds, bptt: times of forward and backward, in turns with BPTT; None if an exact method was not exact.
        saved: bytes that the forward pass keeps for the backward pass, beside inputs and parameters.
        peak: the most bytes that the backward pass holds at a time beyond `saved`, the gradients included.
    """

    label: str
    exact: bool
    refusal: str | None = None
    error: float = 0.0
    cosine: float = 1.0
    worst: float = 0.0
    seconds: Timing | None = None
    bptt: Timing | None = None
    saved: int | None = None
    peak: int | None = None

    @property
    def failed(self) -> bool:
        """Whether an exact method is not exact; a NaN is not exact."""
        return self.exact and not self.worst <= TOLERANCE

    @property
    def ratio(self) -> float | None:
        """Median time over the median time of BPTT."""
        return self.seconds.median / self.bptt.median if self.seconds and self.bptt else None


def measure_method(candidate: Candidate, cell: str, shape: Shape, protocol: Turns) -> MethodFigures:
    """Measure a method; an exact method that fails its comparison is not timed."""
    label, method = candidate.label, candidate.method
    try:
        run = measured_run(method, cell, shape, torch.float32)
        error, cosine, worst = _compared_with_bptt(method, cell, shape)
    except UnsupportedError as refusal:
        return MethodFigures(label, method.exact, str(refusal))
    figures = MethodFigures(label, method.exact, None, error, cosine, worst)
    if figures.failed:
        return figures
    sides = {"bptt": measured_run(BPTT(), cell, shape, torch.float32), "method": run}
    turns, _ = take_turns(sides, LargeProduct(protocol.product_size, torch.float32), protocol)
    output = run.forward()
    peak = peak_bytes(lambda: run.backward(output))
    return replace(figures, seconds=turns["method"], bptt=turns["bptt"], saved=saved_bytes(run), peak=peak)


def measured_run(method: GradientMethod, cell: str, shape: Shape, dtype: torch.dtype) -> LayerRun:
    """Return a layer on a sequence, with equal numbers at every call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        make = cast(Callable[..., RecurrentLayer], OURS[cell])
        layer = make(shape.input_size, shape.hidden, dtype=dtype, gradient=method)
        x = torch.randn(shape.steps, shape.batch, shape.input_size, dtype=dtype)
        cotangent = torch.randn(shape.steps, shape.batch, shape.hidden, dtype=dtype)
    return LayerRun(layer, x, cotangent)


def _compared_with_bptt(method: GradientMethod, cell: str, shape: Shape) -> tuple[float, float, float]:
    """Return error, cosine and worst; see `MethodFigures`."""
    ours, *others = _in_double(method, cell, shape)
    exact, *references = _in_double(BPTT(), cell, shape)
    error, cosine = relative(ours, exact), float(ours @ exact / (ours.norm() * exact.norm()))
    return error, cosine, max(error, *map(relative, others, references))


def _in_double(method: GradientMethod, cell: str, shape: Shape) -> list[Tensor]:
    """Return the gradients in float64: weights (as a vector), inputs, initial state."""
    run = measured_run(method, cell, shape, torch.float64)
    layer_cell, weights = run.layer.cell_and_parameters(0)
    x = run.x.requires_grad_()
    # States that are not zero; the cotangents are at hand, and have the right shape.
    initial = tuple((0.5 * run.cotangent[0]).requires_grad_() for _ in layer_cell.state_sizes)
    h, _ = gradients.run(method, Recurrence(layer_cell, weights, Sequence(x, initial, initial)))
    d_x, *others = torch.autograd.grad(h, [x, *initial, *weights.values()], run.cotangent)
    d_weights = [g.flatten() for g in others[len(initial) :]]
    return [torch.cat(d_weights), d_x, *others[: len(initial)]]
