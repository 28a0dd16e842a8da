"""Diagnose a model in the middle of its training."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from throughtime.diagnosis import gradient_flow
from throughtime.models.contexts import in_evaluation_mode
from throughtime.records import Flow


def diagnose(
    model: nn.Module,
    loss: Callable[[Any, Tensor], Tensor],
    x: Tensor,
    y: Tensor,
    wanted_lag: int,
    say: Callable[[str], None] | None = None,
) -> Flow:
    """Measure how a loss's gradient flows through a model, without dropout.

    The model's training then goes on as if there had been no diagnosis.

    Args:
        model: see `gradient_flow`.
        loss: of the model's outputs and `y`, a scalar.
        x: inputs [time, batch, …].
        y: targets.
        wanted_lag: how many steps back the gradient is wanted; no more than `x` has.
        say: see `gradient_flow`.
    """
    device = next(model.parameters()).device
    with in_evaluation_mode(model):
        return gradient_flow(
            model, loss, x.to(device), y.to(device), wanted_lag=min(wanted_lag, len(x)), say=say
        ).record
