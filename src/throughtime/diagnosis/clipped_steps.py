"""Count the steps at which the layers' per-step clipping takes hold."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from throughtime.layers.tap import tap
from throughtime.models.contexts import differentiated_by, side_effects_undone
from throughtime.models.recording import Recording
from throughtime.models.recurrent_layers import recurrent_layers
from throughtime.models.scalar_loss import scalar_loss


def clipped_steps(model: nn.Module, loss: Callable[[Tensor, Any], Tensor], x: Any, y: Any) -> dict[str, int]:
    """Count by recurrence the clipped steps of all rows; {} where no layer clips.

    Clipping changes the gradient of earlier steps, so this takes a backward pass in which every layer has the method
    that it trains with; only methods that fill no tap are replaced.
    """
    methods = {name: layer.gradient for name, layer in recurrent_layers(model).items()}
    if all(method.clip_step is None for method in methods.values()):
        return {}
    untapped = [layer for layer in recurrent_layers(model).values() if not layer.gradient.taps]
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with (
        side_effects_undone(model),
        torch.enable_grad(),
        tap(model) as record,
        differentiated_by(untapped, Recording()),
    ):
        value = scalar_loss(model, loss, x, y)
        if parameters and value.requires_grad:
            torch.autograd.grad(value, parameters, allow_unused=True)
    clipped = {name: layer_tap.clipped for name, layer_tap in record.layers.items()}
    return {name: int(steps.sum()) for name, steps in clipped.items() if steps is not None}
