"""What every look at a model's gradient begins with: its recurrent layers, and its loss as one number."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from throughtime.errors import ArgumentError
from throughtime.layers.base import RecurrentLayer


def recurrent_layers(model: nn.Module) -> dict[str, RecurrentLayer]:
    """The recurrent layers of ours in the model, by name ("" for the model itself).

    Raises:
        ArgumentError: where there is none.
    """
    if not isinstance(model, nn.Module):
        raise ArgumentError(f"model is a {type(model).__name__}; it must be a torch.nn.Module with a recurrent layer")
    layers = {name: module for name, module in model.named_modules() if isinstance(module, RecurrentLayer)}
    if not layers:
        theirs = {
            type(module).__name__: name for name, module in model.named_modules() if isinstance(module, nn.RNNBase)
        }
        kind, name = next(iter(theirs.items()), ("LSTM", ""))
        found = f"; its {f'{name!r}' if name else 'model'} is torch.nn's, which cannot be looked into" if theirs else ""
        raise ArgumentError(
            f"model is a {type(model).__name__} without a recurrent layer of throughtime, so no gradient method acts "
            f"in it{found}; build it with throughtime.RNN, LSTM, GRU or Recurrent, or convert torch.nn's with "
            f"throughtime.{kind}.from_torch"
        )
    return layers


def scalar_loss(model: nn.Module, loss: Callable[[Tensor, Any], Tensor], x: Any, y: Any) -> Tensor:
    """loss(model(x), y), where the model returns its output, or a tuple whose first element is the output.

    Raises:
        ArgumentError: where the loss is no scalar.
    """
    output = model(x)
    value = loss(output[0] if isinstance(output, tuple) else output, y)
    if not isinstance(value, Tensor) or value.numel() != 1:
        came = f"a tensor {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
        raise ArgumentError(f"loss returned {came}; it must be a scalar tensor, such as a mean over all steps")
    return value
