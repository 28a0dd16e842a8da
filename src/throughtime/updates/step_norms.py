"""Norms of the gradient by time step, read from a tap."""

import math
from contextlib import AbstractContextManager, nullcontext

import torch
from jaxtyping import Float
from torch import Tensor, nn

from throughtime.layers.base import RecurrentLayer
from throughtime.layers.tap import tap
from throughtime.sequences.row_norms import row_norm
from throughtime.sequences.tap import LayerTap, Tap


def untapped(model: nn.Module) -> list[str]:
    """Return the names of recurrent layers whose gradient method forms no ∂L/∂s_t."""
    modules = model.named_modules()
    return [name for name, module in modules if isinstance(module, RecurrentLayer) and not module.gradient.taps]


def tap_of(model: nn.Module) -> AbstractContextManager[Tap]:
    """Return a tap of the model, empty if any layer forms no ∂L/∂s_t."""
    return nullcontext(Tap()) if untapped(model) else tap(model)


def root_mean_squares(*layers: LayerTap) -> Float[Tensor, " time"]:
    """Return the root mean square over rows of ‖∂L/∂s_t‖ by step, in float64.

    All members of the state count together.
    """
    members = [torch.cat([layer.norms[name] for layer in layers], dim=1).double() for name in layers[0].names]
    return row_norm(tuple(member / math.sqrt(member.shape[1]) for member in members))
