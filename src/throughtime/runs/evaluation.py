"""Predict data with a trained model, and measure the predictions."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from throughtime.data.streams import HELD_OUT_STEPS, Chunk, ChunkLoader, Feed
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


def prediction_rows(task: Task, model: SequenceModel, data: Data) -> list[dict[str, Any]]:
    """Return a model's predictions as rows, in the order of series and steps.

    Args:
        task: of the run.
        model: in evaluation mode.
        data: as `Task.asked` reads them.

    Returns:
        Rows that begin with the id of the series and the step.
    """
    rows = [row for outputs, chunk in predicted(model, data.streams) for row in task.rows(outputs, chunk)]
    rows.sort(key=lambda row: (row["series"], row["step"]))
    return [{"id": data.names[row.pop("series")], **row} for row in rows]
