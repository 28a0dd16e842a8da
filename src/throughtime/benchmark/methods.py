"""The gradient methods against BPTT on one problem: the same gradient first, then time and memory."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor

from throughtime import gradients
from throughtime.benchmark.grid import Shape
from throughtime.benchmark.measure import LargeProduct, Protocol, saved_bytes, take_turns
from throughtime.benchmark.measurement import Timing
from throughtime.benchmark.memory import peak_bytes
from throughtime.benchmark.parity import relative
from throughtime.benchmark.sides import OURS
from throughtime.errors import UnsupportedError
from throughtime.gradients import BPTT, GradientMethod, Sequence
from throughtime.layers.base import RecurrentLayer

SHAPE = Shape(8, 32, 100)
"""What is measured unless another is given."""

EXAMPLES: dict[str, tuple[dict[str, Any], ...]] = {
    "BPTT": ({}, {"save": "states"}),
    "TruncatedBPTT": ({"horizon": 10},),
    "SnAp": ({"order": 1},),
}
"""The arguments that public methods are measured with; one that is not here is measured without any."""

TOLERANCE = 1e-10
"""The most that an exact method's gradients may be away from BPTT's in float64, relative to their norm."""

PROTOCOL = Protocol(warm_ups=1, repetitions=7, seconds=1.0, cap=4.0, product_size=256)
BRIEF = Protocol(warm_ups=1, repetitions=3, seconds=0.2, cap=0.5, product_size=256)


@dataclass(frozen=True)
class Candidate:
    """A method as somebody would write it, and what that makes."""

    label: str
    method: GradientMethod


def candidates() -> list[Candidate]:
    """Every public gradient method, BPTT first, the exact ones before the others."""
    found = []
    for kind in vars(gradients).values():
        if not inspect.isclass(kind) or not issubclass(kind, GradientMethod) or inspect.isabstract(kind):
            continue
        for options in EXAMPLES.get(kind.__name__, ({},)):
            arguments = ", ".join(f"{name}={value!r}" for name, value in options.items())
            found.append(Candidate(f"{kind.__name__}({arguments})", kind(**options)))
    return sorted(found, key=lambda one: (not isinstance(one.method, BPTT), not one.method.exact))


@dataclass(frozen=True)
class LayerRun:
    """A layer on one sequence: the gradients of its weights, as where the inputs are data."""

    layer: RecurrentLayer
    x: Tensor
    cotangent: Tensor

    @property
    def leaves(self) -> tuple[Tensor, ...]:
        """What a forward pass was given."""
        return self.x, *self.layer.parameters()

    def forward(self) -> Tensor:
        """The output, with its graph."""
        return self.layer(self.x)[0]

    def backward(self, output: Tensor) -> tuple[Tensor, ...]:
        """The gradient of every weight."""
        return torch.autograd.grad(output, list(self.layer.parameters()), self.cotangent)

    def __call__(self) -> tuple[Tensor, ...]:
        """Both passes."""
        return self.backward(self.forward())


@dataclass(frozen=True)
class MethodFigures:
    """What was found of one method on one problem.

    Attributes:
        label: the method as somebody would write it.
        exact: whether it says that it is.
        refusal: why it does not serve this cell; None if it does. Nothing else is known then.
        error, cosine: of the gradient of all weights together, against BPTT's, in float64.
        worst: the largest relative distance of any gradient from BPTT's, those of the inputs and states among them.
        seconds, bptt: of forward and backward, taking turns with BPTT; None if an exact method was not exact.
        saved: bytes kept from the forward for the backward pass, beside inputs and parameters.
        peak: the most bytes that the backward pass holds at a time beyond those, the gradients among them.
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
        """Whether it calls itself exact and is not; NaN is not."""
        return self.exact and not self.worst <= TOLERANCE

    @property
    def ratio(self) -> float | None:
        """Median time over that of BPTT."""
        return self.seconds.median / self.bptt.median if self.seconds and self.bptt else None


def measure_method(candidate: Candidate, cell: str, shape: Shape, protocol: Protocol) -> MethodFigures:
    """Measure one method; an exact one that is not is not timed."""
    label, method = candidate.label, candidate.method
    try:
        run = measured_run(method, cell, shape, torch.float32)
        error, cosine, worst = _distances(method, cell, shape)
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
    """A layer on a sequence; the same numbers at every call, for every method."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        make = cast(Callable[..., RecurrentLayer], OURS[cell])
        layer = make(shape.input_size, shape.hidden, dtype=dtype, gradient=method)
        x = torch.randn(shape.steps, shape.batch, shape.input_size, dtype=dtype)
        cotangent = torch.randn(shape.steps, shape.batch, shape.hidden, dtype=dtype)
    return LayerRun(layer, x, cotangent)


def _distances(method: GradientMethod, cell: str, shape: Shape) -> tuple[float, float, float]:
    """See `MethodFigures`: error, cosine, worst."""
    (ours, *others), (exact, *references) = (_in_double(one, cell, shape) for one in (method, BPTT()))
    error, cosine = relative(ours, exact), float(ours @ exact / (ours.norm() * exact.norm()))
    return error, cosine, max(error, *map(relative, others, references))


def _in_double(method: GradientMethod, cell: str, shape: Shape) -> list[Tensor]:
    """The gradient of all weights as one vector, then those of the inputs and of the initial state."""
    run = measured_run(method, cell, shape, torch.float64)
    one, weights = run.layer.cell_and_parameters(0)
    x, start = run.x.requires_grad_(), [0.5 * run.cotangent[0].clone() for _ in one.state_sizes]
    initial = tuple(member.requires_grad_() for member in start)
    h, _ = gradients.run(method, one, weights, Sequence(x, initial, initial))
    d_x, *found = torch.autograd.grad(h, [x, *initial, *weights.values()], run.cotangent)
    d_weights = [g.flatten() for g in found[len(initial) :]]
    return [torch.cat(d_weights), d_x, *found[: len(initial)]]
