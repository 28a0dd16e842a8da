"""The recurrent layers of a model, by name."""

from torch import nn

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
