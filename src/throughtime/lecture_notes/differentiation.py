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
    """Derivative of `function` at `point`, still to be computed.

    The value has the shape of the function followed by the shape of the point (numerator layout). With `transposed`
    the last two axes are swapped, which is the denominator layout of a Jacobian. `step` is the distance of neighbouring
    points in central differences, per unit of max(1, |entry|); a point close to a pole needs a shorter step.
    """

    function: Callable[[Tensor], Tensor]
    point: Tensor
    transposed: bool = False
    step: float = STEP_SIZE


def automatic(derivative: Derivative) -> Tensor:
    """Differentiate by torch.autograd, through any loop that the function runs.

    Returns a tensor of shape [*function shape, *point shape]. Costs a backward pass for each number in the output.

    Raises:
        ArgumentError: the function returns more than one tensor.
    """
    value = torch.autograd.functional.jacobian(derivative.function, derivative.point)
    if not isinstance(value, Tensor):
        raise ArgumentError(
            "derivative.function", f"returned a {type(value).__name__} of tensors", "it must return one tensor"
        )
    return value.mT if derivative.transposed else value


def central(derivative: Derivative) -> Tensor:
    """Differentiate by five-point central differences, which only call the function.

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
    """Return ‖value − reference‖ / ‖reference‖, or ‖value‖ if the reference is zero."""
    difference = torch.linalg.vector_norm(value - reference).item()
    scale = torch.linalg.vector_norm(reference).item()
    return difference / scale if scale > 0 else difference
