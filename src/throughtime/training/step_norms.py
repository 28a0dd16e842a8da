"""Norms of the gradient by time step, read from a tap."""

from contextlib import AbstractContextManager, nullcontext

import torch
from jaxtyping import Float
from torch import Tensor, nn

from throughtime.layers.base import RecurrentLayer
from throughtime.layers.tap import tap
from throughtime.sequences.tap import LayerTap, Tap


def untapped(model: nn.Module) -> list[str]:
    """Return the names of recurrent layers whose gradient method forms no ∂L/∂s_t."""
    modules = model.named_modules()
    return [name for name, module in modules if isinstance(module, RecurrentLayer) and not module.gradient.taps]


def tap_of(model: nn.Module) -> AbstractContextManager[Tap]:
    """Return a tap of the model, empty if any layer forms no ∂L/∂s_t."""
    return nullcontext(Tap()) if untapped(model) else tap(model)


def mean_squares(*layers: LayerTap) -> Float[Tensor, " time"]:
    """Return the mean over rows of ‖∂L/∂s_t‖², all members of the state together."""
    names = layers[0].names
    members = [torch.cat([layer.norms[name] for layer in layers], dim=1).square().mean(dim=1) for name in names]
    return members[0] if len(members) == 1 else torch.stack(members).sum(dim=0)
