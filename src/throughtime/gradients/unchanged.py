"""A run that leaves a model as it was."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from throughtime.gradients.base import GradientMethod
from throughtime.layers.base import RecurrentLayer


@contextmanager
def unchanged(model: nn.Module) -> Iterator[None]:
    """Buffers and torch's generators are afterwards what they were before."""
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
def differentiated_by(layers: Iterable[RecurrentLayer], method: GradientMethod) -> Iterator[None]:
    """Let the layers use another gradient method inside the block."""
    before = [(layer, layer.gradient) for layer in layers]
    try:
        for layer, _ in before:
            layer.gradient = method
        yield
    finally:
        for layer, gradient in before:
            layer.gradient = gradient
