"""The two references of this room: automatic differentiation and central differences, both in float64."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from throughtime.errors import ArgumentError

STEP = 2e-4
"""The usual step of the five-point formula; its truncation, STEP⁴ / 30 times the fifth derivative, and its rounding,
1e-16 / STEP, both stay near 1e-12."""


@dataclass(frozen=True)
class Derivative:
    """The derivative of `function` at `point`, as something still to be computed.

    Its value has the function's shape followed by the point's shape (numerator layout). With `transposed` the two
    last axes are swapped, which is the denominator layout of a Jacobian. `step` is the distance of neighbouring points
    in central differences, per unit of max(1, |entry|); a point close to a pole needs a shorter one.
    """

    function: Callable[[Tensor], Tensor]
    point: Tensor
    transposed: bool = False
    step: float = STEP


def automatic(derivative: Derivative) -> Tensor:
    """The derivative by torch.autograd through whatever loop the function runs.

    Returns a tensor of shape [*function shape, *point shape]. Costs one backward pass per number in the output.

    Raises:
        ArgumentError: the function returns more than one tensor.
    """
    value = torch.autograd.functional.jacobian(derivative.function, derivative.point)
    if not isinstance(value, Tensor):
        raise ArgumentError(
            f"derivative.function returned {type(value).__name__} of tensors where one tensor is allowed; return one."
        )
    return value.mT if derivative.transposed else value


def central(derivative: Derivative) -> Tensor:
    """The derivative by the five-point central difference, which calls the function and nothing else.

    Returns a tensor of shape [*function shape, *point shape]. Costs four calls per number in the point.
    """
    columns = [_slope(derivative, index) for index in range(derivative.point.numel())]
    stacked = torch.stack(columns, dim=-1)
    value = stacked.reshape(*columns[0].shape, *derivative.point.shape)
    return value.mT if derivative.transposed else value


def _slope(derivative: Derivative, index: int) -> Tensor:
    flat = derivative.point.detach().reshape(-1)
    step = derivative.step * max(1.0, abs(flat[index].item()))

    def shifted(multiple: int) -> Tensor:
        moved = flat.clone()
        moved[index] += multiple * step
        return derivative.function(moved.reshape(derivative.point.shape)).detach()

    return (8 * (shifted(1) - shifted(-1)) - (shifted(2) - shifted(-2))) / (12 * step)


def distance(value: Tensor, reference: Tensor) -> float:
    """‖value − reference‖ / ‖reference‖ over all entries; the plain norm of the difference if the reference is zero."""
    difference = torch.linalg.vector_norm(value - reference).item()
    scale = torch.linalg.vector_norm(reference).item()
    return difference / scale if scale > 0 else difference
