"""The loss of a model as a scalar, checked."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from throughtime.errors import ArgumentError


def scalar_loss(model: nn.Module, loss: Callable[[Tensor, Any], Tensor], x: Any, y: Any) -> Tensor:
    """Compute loss(model(x), y).

    The model returns its output, or a tuple whose first element is the output.

    Raises:
        ArgumentError: where the loss is no scalar.
    """
    output = model(x)
    return checked_loss(loss(output[0] if isinstance(output, tuple) else output, y))


def checked_loss(value: object) -> Tensor:
    """Return what a loss function returned, if that is a tensor with a single element.

    Raises:
        ArgumentError: for anything else.
    """
    if isinstance(value, Tensor) and value.numel() == 1:
        return value
    came = f"a tensor {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
    raise ArgumentError("loss", f"returned {came}", "it must be a scalar tensor, such as a mean over all steps")
