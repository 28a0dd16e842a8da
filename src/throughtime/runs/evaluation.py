"""Predict data with a trained model, and measure the predictions."""

from collections.abc import Iterator

import torch
from torch import Tensor

from throughtime.data.streams import HELD_OUT_STEPS, Chunk, ChunkLoader, Feed
from throughtime.runs.model import CarriedState, SequenceModel
from throughtime.runs.tasks.base import Metric, Task


def predicted(model: SequenceModel, streams: Feed) -> Iterator[tuple[Tensor, Chunk]]:
    """Yield a model's outputs with their chunks, carrying the hidden state on.

    Args:
        model: in evaluation mode.
        streams: the data, on the model's device.
    """
    state: CarriedState = None
    for chunk in ChunkLoader(streams, HELD_OUT_STEPS):
        with torch.no_grad():
            outputs, state = model(chunk.inputs, None if chunk.first else state, resets=chunk.resets)
        yield outputs, chunk


def evaluate(task: Task, model: SequenceModel, streams: Feed) -> list[Metric]:
    """Return the metrics of a model on data, the mean loss first.

    Args: see `predicted`.
    """
    return task.metrics(predicted(model, streams))
