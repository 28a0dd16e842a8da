"""Checks of a checkpoint against the run that goes on with it."""

import re
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor

from throughtime.errors import ThroughtimeError
from throughtime.online import OnlineLearner
from throughtime.records.ranges import Count, FieldError, check_length, shown
from throughtime.runs.checkpoint_schema import (
    PassesState,
    at_path,
    check_counters,
    check_finite,
    check_like,
    check_moments,
    check_optimizer,
    check_random,
    check_scheduler,
    check_tensor,
    check_tensors,
    progress_of,
)
from throughtime.runs.model import SequenceModel
from throughtime.runs.module import OWN_STATE
from throughtime.runs.tasks.streaming import StreamTask

_LIGHTNING = "pytorch-lightning_version"


def kept_state(state: Mapping[str, Any]) -> PassesState:
    """Return what a run in passes keeps beside Lightning's entries. Raises `FieldError` where it is damaged."""
    kept = at_path(f".{OWN_STATE}", dict[str, Any], _entry(state, OWN_STATE))
    return at_path(f".{OWN_STATE}", PassesState, kept)


def check_passes(
    state: Mapping[str, Any], model: SequenceModel, inputs: Tensor, loops: Mapping[str, Any], chunks: int
) -> None:
    """Raise `FieldError` where a checkpoint does not fit a run in passes.

    Args:
        state: the content of the checkpoint.
        model: the model that goes on with it.
        inputs: the first inputs [1, batch, …] of the run.
        loops: the state of the loop of Lightning's that has done nothing yet.
        chunks: how many chunks the run hands out at most.
    """
    kept = kept_state(state)
    progress = progress_of(kept.progress, f".{OWN_STATE}.progress")
    parameters = dict(model.named_parameters())
    if progress.updates > chunks:
        raise FieldError(f"is {progress.updates:,}", f"at most {chunks:,}", f".{OWN_STATE}.progress.updates")
    weights = {f"model.{name}": value for name, value in model.state_dict().items()}
    check_tensors(_entry(state, "state_dict"), weights, ".state_dict")
    check_finite(state["state_dict"], ".state_dict")
    check_optimizer(_only(state, "optimizer_states"), parameters, ".optimizer_states[0]")
    check_scheduler(_only(state, "lr_schedulers"), parameters, progress.updates, ".lr_schedulers[0]")
    _check_lightning(state, progress.updates, loops)
    _check_carried(kept, model, inputs)
    if kept.rescue is not None and kept.rescue.kept is not None:
        path = f".{OWN_STATE}.rescue.kept"
        check_tensors(kept.rescue.kept.get("model"), model.state_dict(), f"{path}.model")
        check_moments(kept.rescue.kept.get("optimizer"), parameters, f"{path}.optimizer")


def check_stream(state: Mapping[str, Any], learner: OnlineLearner, task: StreamTask) -> None:
    """Raise `FieldError` where a checkpoint does not fit a run along a stream.

    Args:
        state: the content of the checkpoint.
        learner: the learner that goes on with it; it has learned nothing yet.
        task: the task, at the position of the checkpoint.
    """
    learner.prepare(task.example())
    given, like, path = _entry(state, "learner"), learner.state_dict(), ".learner"
    at_path(path, dict[str, Any], given)
    for name in like.keys() ^ given.keys():
        raise FieldError("is missing" if name in like else "is not known", "as in this run", f"{path}.{shown(name)}")
    for name in ("gradient", "update_every"):
        if given[name] != like[name]:
            raise FieldError(f"is {shown(given[name])}", f"{shown(like[name])}, as in config.yaml", f"{path}.{name}")
    counts = at_path(f"{path}.counts", tuple[Count, Count, Count, Count], given["counts"])
    if counts[0] > task.taken:
        raise FieldError(f"is {counts[0]}", f"at most {task.taken}, what was read", f"{path}.counts[0]")
    check_tensors(given["model"], learner.model.state_dict(), f"{path}.model")
    check_finite(given["model"], f"{path}.model")
    check_optimizer(given["optimizer"], dict(learner.model.named_parameters()), f"{path}.optimizer")
    check_random(given["random"], f"{path}.random")
    _check_moment(given["like"], given["owed"], task, learner, f"{path}.like")
    if given["like"] is not None:
        check_like(given["state"], like["state"], f"{path}.state")
        check_finite(given["state"], f"{path}.state")
        _check_memory(given["memory"], like, task, learner, f"{path}.memory")


def _entry(state: Mapping[str, Any], name: str) -> Any:
    if name not in state:
        raise FieldError("is missing", "present", f".{name}")
    return state[name]


def _only(state: Mapping[str, Any], name: str) -> Any:
    entries = at_path(f".{name}", list[Any], _entry(state, name))
    check_length(entries, 1, f".{name}")
    return entries[0]


def _check_lightning(state: Mapping[str, Any], updates: int, loops: Mapping[str, Any]) -> None:
    """Check what Lightning keeps of its loop: it must be where the run is."""
    version = at_path(f".{_LIGHTNING}", str, _entry(state, _LIGHTNING))
    if not re.fullmatch(r"[2-9]\.\d+\.\d+\S{0,20}", version):
        raise FieldError(f"is {shown(version)}", "a version of Lightning, 2.0.0 or above", f".{_LIGHTNING}")
    for name in ("epoch", "global_step"):
        at_path(f".{name}", Count, _entry(state, name))
    check_counters([state["global_step"]], updates, ".global_step")
    at_path(".callbacks", dict[str, Any], state.get("callbacks", {}))
    path = ".loops.fit_loop"
    given = at_path(path, dict[str, Any], at_path(".loops", dict[str, Any], _entry(state, "loops")).get("fit_loop"))
    check_like(given, loops, path)
    check_like(given["state_dict"], {"combined_loader": [{"position": 0}]}, f"{path}.state_dict")
    position = given["state_dict"]["combined_loader"][0]["position"]
    if position != updates:
        raise FieldError(f"is {position}", f"{updates}, the number of updates", f"{path}.state_dict.position")
    for name in ("epoch_loop.batch_progress", "epoch_loop.automatic_optimization.optim_progress"):
        check_counters(given[name], updates, f"{path}.{name}")
    for name in ("completed", "processed"):
        if given["epoch_progress"]["current"][name] != 0:
            raise FieldError(
                f"is {given['epoch_progress']['current'][name]}", "0", f"{path}.epoch_progress.current.{name}"
            )


def _check_carried(kept: PassesState, model: SequenceModel, inputs: Tensor) -> None:
    """Check the state that the next chunk begins with, and the inputs that run again."""
    path = f".{OWN_STATE}"
    with torch.no_grad():
        like = model(inputs)[1]
    if kept.state is not None:
        check_like(kept.state, like, f"{path}.state")
        check_finite(kept.state, f"{path}.state")
    for name, tensor, example in (("inputs", kept.inputs, inputs), ("resets", kept.resets, inputs[..., 0] > 0)):
        if tensor is not None:
            wanted = example.new_zeros((len(tensor) if tensor.dim() else 0, *inputs.shape[1 : tensor.dim()]))
            check_tensor(tensor, wanted if name == "inputs" else wanted.bool(), f"{path}.{name}")
    if kept.inputs is not None:
        _try(model, kept.inputs, f"{path}.inputs")
    if "cpu" in kept.random:
        check_random(kept.random["cpu"], f"{path}.random.cpu")


def _check_memory(given: Any, like: Mapping[str, Any], task: StreamTask, learner: OnlineLearner, path: str) -> None:
    """Check what the learner remembers of the latest steps: the steps themselves, or the influence of the weights."""
    memory = at_path(path, dict[str, Any], given)
    if memory.keys() != like["memory"].keys():
        raise FieldError(f"has {shown(sorted(map(str, memory)))}", f"{sorted(like['memory'])}", path)
    for name in ("since", "losses"):
        if name in memory:
            at_path(f"{path}.{name}", Count, memory[name])
    if "influences" in memory:
        check_like(memory["influences"], like["memory"]["influences"], f"{path}.influences")
        parameters = {name: value for name, value in learner.model.named_parameters() if name in memory["sum"]}
        check_tensors(memory["sum"], parameters, f"{path}.sum")
        check_finite([memory["influences"], memory["sum"]], path)
        return
    for i, moment in enumerate(at_path(f"{path}.moments", list[dict[str, Any]], memory["moments"])):
        where = f"{path}.moments[{i}]"
        for name in moment.keys() ^ {"x", "y", "reset", "entering"}:
            raise FieldError("is missing or not known", "x, y, reset or entering", f"{where}.{shown(name)}")
        _check_moment((moment["x"], moment["y"]), moment["reset"], task, learner, where)
        check_like(moment["entering"], like["state"], f"{where}.entering")
        check_finite(moment["entering"], f"{where}.entering")


def _check_moment(pair: Any, reset: Any, task: StreamTask, learner: OnlineLearner, path: str) -> None:
    """Check inputs, targets and resets of a step."""
    if reset is not None:
        check_tensor(reset, torch.zeros(1, dtype=torch.bool), f"{path}.reset")
    if pair is None:
        return
    x, y = at_path(path, tuple[Tensor, Tensor | None], pair)
    check_tensor(x, task.example(), f"{path}.x")
    output = _try(cast(SequenceModel, learner.model), x[None], f"{path}.x")
    if y is not None:
        try:
            task.step_loss(output[0], y)
        except (RuntimeError, IndexError, ValueError, TypeError) as error:
            raise FieldError(f"cannot be a target ({shown(str(error))})", "a target of the task", f"{path}.y") from None


def _try(model: SequenceModel, inputs: Tensor, path: str) -> Tensor:
    """Return the model's outputs. Raise `FieldError` for inputs that it cannot read."""
    try:
        with torch.no_grad():
            return model(inputs)[0]
    except (RuntimeError, IndexError, ThroughtimeError) as error:
        raise FieldError(f"cannot be an input ({shown(str(error))})", "an input of the task", path) from None
