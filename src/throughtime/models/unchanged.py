"""Contexts that restore a model: its buffers, gradient methods, modes and gradients."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from throughtime.gradients.base import GradientMethod
from throughtime.layers.base import RecurrentLayer


@contextmanager
def unchanged(model: nn.Module) -> Iterator[None]:
    """Restore the buffers of `model` and torch's generators after the block."""
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    devices = {parameter.device for parameter in model.parameters() if parameter.device.type == "cuda"}
    try:
        with torch.random.fork_rng(devices=list(devices)):
            yield
    finally:
        with torch.no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Evaluate `model` in the middle of its training: dropout off, gradients on.

    After the block everything but the weights is restored: the mode of each module, `.grad`, and as in `unchanged`.
    """
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


@contextmanager
def differentiated_by(layers: Iterable[RecurrentLayer], method: GradientMethod) -> Iterator[None]:
    """Give the layers another gradient method for the block."""
    before = [(layer, layer.gradient) for layer in layers]
    try:
        for layer, _ in before:
            layer.gradient = method
        yield
    finally:
        for layer, gradient in before:
            layer.gradient = gradient
