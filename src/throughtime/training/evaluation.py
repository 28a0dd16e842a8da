"""The mean loss of a model on a text."""

import torch

from throughtime.data.streams import HELD_OUT_STEPS, ChunkLoader, Streams
from throughtime.losses import cross_entropy
from throughtime.training.model import CarriedState, SequenceModel


@torch.no_grad()
def mean_loss(model: SequenceModel, streams: Streams) -> float:
    """Return the mean cross-entropy in nats per symbol over all targets of a text, each with the same weight.

    Args:
        model: in evaluation mode.
        streams: the text, on the model's device.
    """
    total, count = 0.0, 0
    state: CarriedState = None
    for chunk in ChunkLoader(streams, HELD_OUT_STEPS):
        logits, state = model(chunk.inputs, state)
        tokens = chunk.targets.numel() if chunk.mask is None else int(chunk.mask.sum())
        total += cross_entropy(logits, chunk.targets, mask=chunk.mask).item() * tokens
        count += tokens
    return total / count
