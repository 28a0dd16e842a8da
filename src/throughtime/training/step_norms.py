"""A training's own view of a tap: which models offer one, and the norms by step."""

from contextlib import AbstractContextManager, nullcontext

import torch
from jaxtyping import Float
from torch import Tensor, nn

from throughtime.layers.base import RecurrentLayer
from throughtime.layers.tap import tap
from throughtime.sequences.tap import LayerTap, Tap


def untapped(model: nn.Module) -> list[str]:
    """The names of the recurrent layers whose gradient method never forms ∂L/∂s_t, which a tap would record."""
    modules = model.named_modules()
    return [name for name, one in modules if isinstance(one, RecurrentLayer) and not one.gradient.taps]


def tap_of(model: nn.Module) -> AbstractContextManager[Tap]:
    """The model's tap, to be entered for every update; one that stays empty where a layer's method offers none."""
    return nullcontext(Tap()) if untapped(model) else tap(model)


def mean_squares(*layers: LayerTap) -> Float[Tensor, " time"]:
    """The mean over rows of ‖∂L/∂s_t‖², all members of the state together; over the rows of several passes alike."""
    names = layers[0].names
    members = [torch.cat([one.norms[name] for one in layers], dim=1).square().mean(dim=1) for name in names]
    return members[0] if len(members) == 1 else torch.stack(members).sum(dim=0)
