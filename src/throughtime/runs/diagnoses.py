"""Diagnoses of the gradient's flow during a run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from torch import Tensor, nn

from throughtime.data.streams import Chunk
from throughtime.records import Flow
from throughtime.runs.model import SequenceModel
from throughtime.runs.settings import OptimizationSettings
from throughtime.runs.tasks.base import Task
from throughtime.updates.diagnosing import diagnose

STEPS, ROWS = 200, 16
"""Time steps and rows of the windows that a run is diagnosed on."""

Diagnose: TypeAlias = Callable[[Task, SequenceModel, Chunk], Flow]
"""Function that diagnoses a model on a chunk, from a zero initial state."""


def reach(settings: OptimizationSettings) -> int:
    """Return how many steps back the gradient is wanted.

    It is the horizon, or the mean reach of the losses of an update.
    """
    return settings.horizon or max(1, settings.update_every // 2)


def usual_diagnosis(settings: OptimizationSettings) -> Diagnose:
    """Return the function that diagnoses a run while it trains."""
    return lambda task, model, chunk: diagnose_task(task, model, chunk, reach(settings))


def diagnose_task(
    task: Task, model: SequenceModel, chunk: Chunk, wanted_lag: int, say: Callable[[str], None] | None = None
) -> Flow:
    """Follow the gradient of the task's objective over a chunk, without dropout.

    Args:
        task: whose objective is followed.
        model: the model of a run, in any mode.
        chunk: windows of data; of it inputs, targets, mask and resets are read. Each row begins with a zero state.
        wanted_lag: how many steps back the gradient is wanted; no more than the chunk has.
        say: see `gradient_flow`.
    """

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        mask = None if chunk.mask is None else chunk.mask.to(targets.device)  # as `diagnose` moves inputs and targets
        return task.objective(outputs, chunk._replace(targets=targets, mask=mask))

    with _starting_anew(model, chunk.resets):
        return diagnose(model, loss, chunk.inputs, chunk.targets, wanted_lag, say)


@contextmanager
def _starting_anew(model: SequenceModel, resets: Tensor | None) -> Iterator[None]:
    """Hand the resets to the model whenever it is called, as a diagnosis calls it with its inputs alone."""

    def with_resets(_: nn.Module, args: tuple[Any, ...], given: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return args, {**given, "resets": None if resets is None else resets.to(args[0].device)}

    hook = model.register_forward_pre_hook(with_resets, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()
