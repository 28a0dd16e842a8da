"""Diagnoses of the gradient's flow during a run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeAlias

from torch import Tensor, nn

from throughtime.data.streams import Chunk
from throughtime.diagnosis import judge
from throughtime.diagnosis.memory import memory_of
from throughtime.models.contexts import in_evaluation_mode
from throughtime.records import Flow, Memory, named
from throughtime.runs.model import SequenceModel
from throughtime.runs.settings import OptimizationSettings
from throughtime.runs.tasks.base import Data, Task
from throughtime.updates.diagnosing import diagnose

STEPS, ROWS = 200, 16
"""Time steps and rows of the windows on which a run's gradient is followed."""
LEAST_ROWS, MOST_ROWS, MOST_STEPS = 8, 64, 2**16
"""Rows of the windows on which it is measured which past the model uses, and steps of all of them together."""

Diagnose: TypeAlias = Callable[[Task, SequenceModel, Data], Flow]
"""Function that diagnoses a model on data, from a zero initial state."""


def reach(settings: OptimizationSettings) -> int:
    """Return how many steps back a loss reaches in training.

    It is the horizon, or the length of an update.
    """
    return settings.horizon or settings.update_every


def diagnose_data(
    task: Task,
    model: SequenceModel,
    data: Data,
    trained_reach: int,
    lag: int = 0,
    windows: tuple[int, int] = (STEPS, ROWS),
    say: Callable[[str], None] | None = None,
) -> Flow:
    """Follow the gradient over data, measure the use of the past, and judge both.

    The gradient is wanted over the length of a series that has a single target. Else it is wanted as far back as the
    loss falls with a longer past, but no further than training reaches.

    Args:
        task: what the model predicts.
        model: the model of a run, in any mode.
        data: the data, best those that were held out.
        trained_reach: how many steps back a loss reaches in training, see `reach`.
        lag: how many steps back the gradient is wanted; 0: as above.
        windows: steps and rows of the windows.
        say: see `gradient_flow`.
    """
    chunk = data.windows(*windows)
    rows = max(LEAST_ROWS, min(MOST_ROWS, MOST_STEPS // windows[0]))
    memory = memory_on(task, model, data.windows(windows[0], rows), data)
    wanted = lag or wanted_lag(chunk, memory, trained_reach)
    flow = replace(diagnose_task(task, model, chunk, wanted, say), memory=memory)
    return replace(flow, finding=judge(flow)) if flow.layers else flow


def wanted_lag(chunk: Chunk, memory: Memory | None, trained_reach: int) -> int:
    """Return how many steps back the gradient is wanted.

    Args:
        chunk: windows of the data.
        memory: which past the model uses, where that is known. It tells nothing of a model that has learned nothing.
        trained_reach: how many steps back a loss reaches in training.
    """
    length = _length_per_target(chunk)
    if length is not None:
        return max(1, length - 1)
    used = memory.used if memory is not None and memory.learned else None
    return max(1, min(trained_reach if used is None else used, trained_reach, len(chunk.inputs)))


def _length_per_target(chunk: Chunk) -> int | None:
    """Return the length of the longest series, where each has a single target; else None."""
    if chunk.mask is None or chunk.origin is None:
        return None
    counted = chunk.origin[chunk.mask.reshape(*chunk.origin.shape[:2], -1).any(-1)].unique(dim=0)
    if not len(counted) or len(counted) > len(counted[:, 0].unique()):
        return None
    return min(int(counted[:, 1].max()) + 1, len(chunk.inputs))


def memory_on(task: Task, model: SequenceModel, chunk: Chunk, data: Data) -> Memory | None:
    """Measure which past a model uses.

    None: no target counts, or a loss is not finite.

    Args:
        task: whose loss is compared.
        model: the model of a run, in any mode.
        chunk: windows of the data.
        data: the data, whose naive predictions the loss is compared with.
    """
    device = next(model.parameters()).device

    def forward(some: Chunk) -> Tensor:
        resets = None if some.resets is None else some.resets.to(device)
        return model(some.inputs.to(device), resets=resets)[0]

    with in_evaluation_mode(model):
        naive = min(named(data.baselines).values(), default=None)
        return memory_of(forward, task.loss, lambda inputs: model.entered(inputs.to(device)), chunk, naive)


def usual_diagnosis(settings: OptimizationSettings) -> Diagnose:
    """Return the function that diagnoses a run while it trains."""
    return lambda task, model, data: diagnose_data(task, model, data, reach(settings))


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
