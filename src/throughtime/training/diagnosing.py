"""A diagnosis of the model of a text: the flow of its gradient on windows of that text."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from throughtime.data.streams import Chunk
from throughtime.diagnosis import gradient_flow
from throughtime.errors import InputFileError
from throughtime.losses import cross_entropy
from throughtime.models.unchanged import undisturbed
from throughtime.records import Flow
from throughtime.training.model import SequenceModel
from throughtime.training.settings import OptimizationSettings

STEPS, ROWS = 200, 16
"""The windows' length and number where nobody asks for others."""


def windows(codes: NDArray[np.int32], steps: int = STEPS, rows: int = ROWS) -> Chunk:
    """Cut windows out of a text, evenly spread; a short text has fewer steps, and then windows that overlap.

    Args:
        codes: symbol numbers [symbols], at least two.
        steps: symbols that are read in each.
        rows: how many windows.

    Raises:
        InputFileError: there are fewer than two symbols.
    """
    if len(codes) < 2:
        raise InputFileError(f"The text has {len(codes)} symbols; it takes 2 to predict one: give a longer text.")
    steps = min(steps, len(codes) - 1)
    starts = np.linspace(0, len(codes) - 1 - steps, rows).astype(int)
    text = torch.from_numpy(np.stack([codes[start : start + steps + 1] for start in starts])).long().t()
    return Chunk(text[:-1].contiguous(), text[1:].contiguous(), None, first=True)


def reach(settings: OptimizationSettings) -> int:
    """How many steps back the gradient is wanted: --horizon, or the mean reach of the losses between two updates."""
    return settings.horizon or max(1, settings.update_every // 2)


def diagnose(model: SequenceModel, chunk: Chunk, wanted_lag: int, say: Callable[[str], None] | None = None) -> Flow:
    """Follow the gradient of the mean loss over a chunk, from a zero state and without dropout; nothing is changed.

    Args:
        model: the model of a text.
        chunk: windows of it.
        wanted_lag: how many steps back the gradient is wanted; no more than the chunk has.
        say: see `gradient_flow`.
    """
    device = next(model.parameters()).device
    with undisturbed(model):
        x, y = chunk.inputs.to(device), chunk.targets.to(device)
        return gradient_flow(model, cross_entropy, x, y, wanted_lag=min(wanted_lag, len(x)), say=say).record
