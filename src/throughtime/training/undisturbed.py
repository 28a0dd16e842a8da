"""Looking at a model in the middle of its training without changing what comes after."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from throughtime.gradients.unchanged import unchanged


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Evaluate `model` inside: dropout off, gradients on; afterwards all but the weights is as before."""
    modes = {module: module.training for module in model.modules()}
    gradients = [(parameter, parameter.grad) for parameter in model.parameters()]
    model.eval()
    for parameter, _ in gradients:
        parameter.grad = None
    try:
        with unchanged(model), torch.enable_grad():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        for parameter, gradient in gradients:
            parameter.grad = gradient
