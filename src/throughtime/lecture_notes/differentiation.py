"""References for derivatives: automatic differentiation and central differences, both in float64."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from throughtime.errors import ArgumentError

STEP_SIZE = 2e-4
"""Default distance of neighbouring points in central differences, as in `Derivative`.

The truncation error is STEP_SIZE⁴ / 30 times the fifth derivative, and the rounding error is about 1e-16 / STEP_SIZE.
Both stay below 1e-12 while the fifth derivative is moderate.
"""


@dataclass(frozen=True)
class Derivative:
    """Derivative of a function at a point, which `automatic` and `central` compute.

    Its shape is [*shape of the function's value, *shape of the point]: the numerator layout.

    Attributes:
        function: from a tensor of the shape of `point` to a tensor, both float64.
        point: the value of the variable.
        transposed: whether the last two axes are swapped, which gives a Jacobian in the denominator layout.
        step_size: distance of neighbouring points in central differences, times max(1, |element of the point|). Near
            a pole of the function it must be smaller.
    """

    function: Callable[[Tensor], Tensor]
    point: Tensor
    transposed: bool = False
    step_size: float = STEP_SIZE


def automatic(derivative: Derivative) -> Tensor:
    """Differentiate by torch.autograd, through any loop that the function runs.

    Raises:
        ArgumentError: the function returns more than one tensor.

    Cost: a backward pass for each element of the function's value.
    """
    value = torch.autograd.functional.jacobian(derivative.function, derivative.point)
    if not isinstance(value, Tensor):
        raise ArgumentError(
            "derivative.function", f"returned a {type(value).__name__} of tensors", "it must return one tensor"
        )
    return value.mT if derivative.transposed else value


def central(derivative: Derivative) -> Tensor:
    """Differentiate by five-point central differences, which only call the function.

    Cost: four calls of the function for each element of the point.
    """
    columns = [_partial_derivative(derivative, index) for index in range(derivative.point.numel())]
    stacked = torch.stack(columns, dim=-1)
    value = stacked.reshape(*columns[0].shape, *derivative.point.shape)
    return value.mT if derivative.transposed else value


def _partial_derivative(derivative: Derivative, index: int) -> Tensor:
    """Return the derivative by an element of the flattened point, in the shape of the function's value."""
    flat = derivative.point.detach().reshape(-1)
    step_size = derivative.step_size * max(1.0, abs(flat[index].item()))

    def shifted(multiple: int) -> Tensor:
        moved = flat.clone()
        moved[index] += multiple * step_size
        return derivative.function(moved.reshape(derivative.point.shape)).detach()

    return (8 * (shifted(1) - shifted(-1)) - (shifted(2) - shifted(-2))) / (12 * step_size)


def distance(value: Tensor, reference: Tensor) -> float:
    """Return ‖value − reference‖ / ‖reference‖, or ‖value‖ if the reference is zero."""
    difference = torch.linalg.vector_norm(value - reference).item()
    scale = torch.linalg.vector_norm(reference).item()
    return difference / scale if scale > 0 else difference
