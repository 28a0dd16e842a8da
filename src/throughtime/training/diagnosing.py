"""A diagnosis of the model of a text: the flow of its gradient on windows of that text."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from throughtime.diagnosis import gradient_flow
from throughtime.errors import InputFileError
from throughtime.losses import cross_entropy
from throughtime.records import Flow
from throughtime.training.model import SequenceModel

STEPS, ROWS = 200, 16
"""The windows' length and number where nobody asks for others."""


def windows(codes: NDArray[np.int32], steps: int, rows: int) -> tuple[Tensor, Tensor]:
    """Cut windows out of a text, evenly spread: what is read and what follows, each [steps, rows].

    A short text has fewer steps, down to one, and then windows that overlap.

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
    return text[:-1].contiguous(), text[1:].contiguous()


def diagnose(
    model: SequenceModel, codes: NDArray[np.int32], wanted_lag: int, update: int, steps: int = STEPS, rows: int = ROWS
) -> Flow:
    """Follow the gradient of the mean loss over windows of a text, from a zero state and without dropout.

    Args:
        model: left as it was.
        codes: the text, symbol numbers [symbols].
        wanted_lag: how many steps back the gradient is wanted.
        update: how often the weights have been updated.
        steps, rows: of the windows.
    """
    device = next(model.parameters()).device
    x, y = (part.to(device) for part in windows(codes, steps, rows))
    training = model.training
    model.eval()
    try:
        flow = gradient_flow(model, cross_entropy, x, y, wanted_lag=min(wanted_lag, len(x)))
    finally:
        model.train(training)
    return replace(flow.record, update=update)
