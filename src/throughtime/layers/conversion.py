"""Copies of the weights of a layer in an empty module with the same names."""

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from throughtime.errors import UnsupportedError

Filled = TypeVar("Filled", bound=nn.Module)


def filled(empty: Filled, source: nn.Module) -> Filled:
    """Fill a module with copies of the weights that act in `source`.

    Weights that are the same tensor in `source` are the same parameter in the filled module.

    Args:
        empty: the module, made on the meta device, so that no random number was drawn.
        source: a module with the same names; its parametrized weights are copied by their values.

    Raises:
        UnsupportedError: a weight of `source` is neither a parameter nor parametrized.
    """
    copies: dict[int, nn.Parameter] = {}
    with torch.enable_grad():  # else a value computed from trained parameters would look frozen
        weights = {name: _acting(source, name) for name, _ in empty.named_parameters()}
    for name, weight in weights.items():
        if id(weight) not in copies:
            copies[id(weight)] = nn.Parameter(weight.detach().clone(), weight.requires_grad)
        setattr(empty, name, copies[id(weight)])
    return empty.train(source.training)


def _acting(source: nn.Module, name: str) -> Tensor:
    """Return the weight that acts in the next call."""
    if name not in source._parameters and not is_parametrized(source, name):
        # Hooks set such a weight when the module is called; until then the attribute may be out of date.
        raise UnsupportedError(
            f"{name} is no parameter of the {type(source).__name__}: something sets it before each call. Make it a "
            f"parameter first, for a pruned weight by torch.nn.utils.prune.remove(layer, {name!r})"
        )
    return getattr(source, name)
