"""Contexts that use a model for a block, and restore it afterwards."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from throughtime.gradients.base import GradientMethod
from throughtime.layers.base import RecurrentLayer


@contextmanager
def side_effects_undone(model: nn.Module) -> Iterator[None]:
    """Undo what forward passes in the block change: buffers of `model` and torch's generators."""
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
def in_evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Evaluate `model` in the middle of its training: dropout off, gradients on.

    After the block the mode of each module and `.grad` are restored, beside what `side_effects_undone` restores.
    """
    modes = {module: module.training for module in model.modules()}
    gradients = [(parameter, parameter.grad) for parameter in model.parameters()]
    model.eval()
    for parameter, _ in gradients:
        parameter.grad = None
    try:
        with side_effects_undone(model), torch.enable_grad():
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
