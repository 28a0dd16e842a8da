"""Evaluation of a model: its recurrent layers, and its loss as a scalar."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from throughtime.errors import ArgumentError
from throughtime.layers.base import RecurrentLayer


def recurrent_layers(model: nn.Module) -> dict[str, RecurrentLayer]:
    """Find the recurrent layers of throughtime in the model, by name.

    The name of the model itself is "".

    Raises:
        ArgumentError: where the model has none.
    """
    if not isinstance(model, nn.Module):
        raise ArgumentError(
            "model", f"is a {type(model).__name__}", "it must be a torch.nn.Module with a recurrent layer"
        )
    layers = {name: module for name, module in model.named_modules() if isinstance(module, RecurrentLayer)}
    if not layers:
        of_torch = {
            type(module).__name__: name for name, module in model.named_modules() if isinstance(module, nn.RNNBase)
        }
        kind, name = next(iter(of_torch.items()), ("LSTM", ""))
        place = repr(name) if name else "model"
        cannot = f" (its {place} is torch.nn's, which cannot be looked into)" if of_torch else ""
        raise ArgumentError(
            "model",
            f"is a {type(model).__name__} without a recurrent layer of throughtime{cannot}",
            "no gradient method acts in it",
            "build it with throughtime.RNN, LSTM, GRU or Recurrent, or convert torch.nn's with "
            f"throughtime.{kind}.from_torch",
        )
    return layers


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
