"""Predict data with a trained model, and measure the predictions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from throughtime.data.streams import HELD_OUT_STEPS, Chunk, ChunkLoader, Feed
from throughtime.records import Examination
from throughtime.runs.model import CarriedState, SequenceModel
from throughtime.runs.tasks.base import Data, Metric, Task


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


def examine(task: Task, model: SequenceModel, data: Data) -> Examination | None:
    """Return the examination of a model's predictions; None where the task shows nothing.

    Args:
        task: of the model.
        model: see `predicted`.
        data: see `predicted`; with the metrics of naive predictions.
    """
    examined = task.examined(predicted(model, data.streams), data.names)
    return None if examined is None else replace(examined, metrics=compared(examined.metrics, data.naive_metrics))


def compared(metrics: Sequence[Metric], naive: Mapping[str, Mapping[str, float]]) -> list[Metric]:
    """Return metrics with those of naive predictions beside them: metric → prediction → value."""
    return [replace(metric, baselines=dict(naive.get(metric.name, metric.baselines))) for metric in metrics]
