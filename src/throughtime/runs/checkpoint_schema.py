"""Schema of checkpoints and weights: what is read must fit the run."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam
from torch.optim.lr_scheduler import LambdaLR

from throughtime.nests import leaves_of
from throughtime.records import UpdateRow
from throughtime.records.plain import from_plain
from throughtime.records.ranges import (
    Consistent,
    Count,
    FieldError,
    Label,
    Norm,
    NotNegative,
    Size,
    check_length,
    shown,
)
from throughtime.runs.recording.history import Snapshot
from throughtime.runs.recording.progress import Progress, Window
from throughtime.runs.settings import ModelSettings

_CHANGING = {"lr": NotNegative, "initial_lr": NotNegative}
"""Entries of Adam's groups that change during a run; all others keep what Adam gives them."""


@dataclass(frozen=True)
class HistoryState(Consistent):
    """History of a run in its checkpoint: columns of updates.csv, and snapshots."""

    every: Size
    updates: dict[str, list[float]]
    snapshots: list[tuple[Count, Label, list[Count], list[Norm]]]

    def check(self) -> None:
        """Raise `FieldError` where columns or snapshots do not fit together."""
        names = [entry.name for entry in fields(UpdateRow)]
        if list(self.updates) != names:
            raise FieldError(f"has the columns {shown(list(self.updates))}", f"{names}", ".updates")
        for name, column in self.updates.items():
            check_length(column, len(self.updates[names[0]]), f".updates.{name}")
        for i, values in enumerate(zip(*self.updates.values(), strict=True)):
            if not values[0].is_integer():
                raise FieldError(f"is {shown(values[0])}", "a whole number", f".updates.{names[0]}[{i}]")
            from_plain(UpdateRow, dict(zip(names, [int(values[0]), *values[1:]], strict=True)))
        for i, snapshot in enumerate(map(Snapshot._make, self.snapshots)):
            check_length(snapshot.norms, len(snapshot.steps), f".snapshots[{i}]")


@dataclass(frozen=True)
class RescueState:
    """State of the policy for gradients that are not finite."""

    rescues: Count
    in_a_row: Count
    norm: Norm | None
    kept: dict[str, Any] | None
    since: Count


@dataclass(frozen=True)
class PassesState:
    """Entries of a checkpoint beside Lightning's. Those with a default came after version 0.1.0."""

    state: Any
    random: dict[str, Tensor]
    progress: dict[str, Any]
    inputs: Tensor | None = None
    resets: Tensor | None = None
    history: HistoryState | None = None
    rescue: RescueState | None = None
    settings: dict[str, str | bool | int | float | None] | None = None
    ended: tuple[Count, Count] | None = None


def check_size_fits(settings: ModelSettings, input_size: int, numbers: int) -> None:
    """Raise `FieldError` where weights are too few for a model.

    Args:
        settings: the shape of the model.
        input_size: features that enter its recurrent layers.
        numbers: how many numbers the weights have.
    """
    hidden = settings.hidden_size
    needed = hidden * (input_size + hidden * settings.num_layers)
    if numbers < needed:
        raise FieldError(f"has {numbers:,} numbers", f"at least {needed:,} for hidden_size {hidden:,}", "it")


def check_tensors(given: Any, like: Mapping[str, Tensor], path: str = "") -> None:
    """Raise `FieldError` where tensors are not those of a state dict: names, shapes, dtypes."""
    at_path(path, dict[str, Tensor], given)
    for name in [*(given.keys() - like.keys()), *(like.keys() - given.keys())]:
        raise FieldError("is missing" if name in like else "is not known", "as in the model", f"{path}.{shown(name)}")
    for name, value in like.items():
        check_tensor(given[name], value, f"{path}.{name}")


def check_tensor(given: Any, like: Tensor, path: str) -> None:
    """Raise `FieldError` for anything but a tensor of the shape and dtype of `like`."""
    if not isinstance(given, Tensor):
        raise FieldError(f"is {shown(given)}", "a tensor", path)
    if given.shape != like.shape:
        raise FieldError(f"has the shape {tuple(given.shape)}", f"{tuple(like.shape)}, as in this run", path)
    if given.dtype != like.dtype:
        raise FieldError(f"has the dtype {given.dtype}", f"{like.dtype}, as in this run", path)
    whole = given.layout == torch.strided and not given.is_quantized and given.device.type == "cpu"
    if not whole or given.numel() * given.element_size() > given.untyped_storage().nbytes():
        raise FieldError("is stored in another way", "an ordinary tensor", path)


def check_finite(given: Any, path: str) -> None:
    """Raise `FieldError` where a tensor among nests holds NaN or infinity."""
    for where, leaf in leaves_of(given, path):
        if isinstance(leaf, Tensor) and not bool(torch.isfinite(leaf).all()):
            raise FieldError("holds NaN or infinity", "finite", where)


def check_like(given: Any, like: Any, path: str = "") -> None:
    """Raise `FieldError` where a nest is not of the form of another.

    Compared are names, numbers of entries, types, shapes and dtypes.
    A dictionary that is empty in `like` stands for any; whole numbers must not be negative.
    """
    if isinstance(like, Tensor):
        check_tensor(given, like, path)
    elif isinstance(like, Mapping) and like:
        if not isinstance(given, dict) or given.keys() != like.keys():
            names = shown(sorted(map(str, given))) if isinstance(given, dict) else shown(given)
            raise FieldError(f"has {names}", f"a dictionary of {', '.join(map(str, like))}", path)
        for name, value in like.items():
            check_like(given[name], value, f"{path}.{name}")
    elif isinstance(like, list | tuple):
        if not isinstance(given, list | tuple) or len(given) != len(like):
            raise FieldError(f"is {shown(given)}", f"a list of {len(like)}", path)
        for i, (entry, value) in enumerate(zip(given, like, strict=True)):
            check_like(entry, value, f"{path}[{i}]")
    else:
        _check_leaf(given, like, path)


def check_optimizer(given: Any, parameters: Mapping[str, nn.Parameter], path: str) -> None:
    """Raise `FieldError` where the state of an Adam does not fit the parameters."""
    fresh = Adam(parameters.values(), lr=1.0).state_dict()
    if not isinstance(given, dict) or given.keys() != fresh.keys():
        raise FieldError(f"is {shown(given)}", "a dictionary of state and param_groups", path)
    groups = from_plain(list[dict[str, Any]], given["param_groups"])
    check_length(groups, 1, f"{path}.param_groups")
    for name, value in groups[0].items():
        where = f"{path}.param_groups[0].{name}"
        if name in _CHANGING:
            at_path(where, _CHANGING[name], value)
        elif name not in fresh["param_groups"][0]:
            raise FieldError("is not known", "left out", where)
        elif shown(value if not isinstance(value, list) else tuple(value)) != shown(_as_tuple(fresh, name)):
            raise FieldError(f"is {shown(value)}", shown(fresh["param_groups"][0][name]), where)
    if missing := {"lr", "betas", "eps", "params"} - groups[0].keys():
        raise FieldError("is missing", "present", f"{path}.param_groups[0].{min(missing)}")
    check_moments(given["state"], parameters, f"{path}.state")


def check_moments(given: Any, parameters: Mapping[str, nn.Parameter], path: str) -> None:
    """Raise `FieldError` where Adam's running means do not fit the parameters."""
    entries = list(parameters.values())
    if not isinstance(given, dict) or not set(given) <= set(range(len(entries))):
        raise FieldError(f"is {shown(given)}", f"a dictionary of numbers below {len(entries)}", path)
    for number, entry in given.items():
        like = {"step": torch.tensor(0.0), "exp_avg": entries[number], "exp_avg_sq": entries[number]}
        check_tensors(entry, like, f"{path}[{number}]")
        check_finite(entry, f"{path}[{number}]")
        for name in ("step", "exp_avg_sq"):
            if bool((entry[name] < 0).any()):
                raise FieldError("is negative", "0 or above", f"{path}[{number}].{name}")


def check_random(given: Any, path: str) -> None:
    """Raise `FieldError` where a tensor is no state of torch's generator on the CPU."""
    check_tensor(given, torch.get_rng_state(), path)
    try:
        torch.Generator().set_state(given.clone())
    except RuntimeError:
        raise FieldError("is no state of a generator", "what torch.get_rng_state() returned", path) from None


def check_scheduler(given: Any, parameters: Mapping[str, nn.Parameter], updates: int, path: str) -> None:
    """Raise `FieldError` where the learning-rate schedule is not at this update."""
    fresh = LambdaLR(Adam(parameters.values(), lr=1.0), lambda update: 1.0).state_dict()
    check_like(given, fresh, path)
    for name, counted in (("last_epoch", updates), ("_step_count", updates + 1)):
        if given[name] != counted:
            raise FieldError(f"is {given[name]}", f"{counted}, after {updates} updates", f"{path}.{name}")


def progress_of(given: Any, path: str) -> Progress:
    """Read the progress of a run. Entries that are not known, of another version, are left out."""
    known = {entry.name for entry in fields(Progress)}
    kept = {name: value for name, value in at_path(path, dict[str, Any], given).items() if name in known}
    progress = at_path(path, Progress, kept)
    # Their defaults are for a run that begins; one that goes on has them all.
    for record, values, where in ((Progress, kept, path), (Window, kept.get("window", {}), f"{path}.window")):
        for name in {entry.name for entry in fields(record)} - values.keys():
            raise FieldError("is missing", "present", f"{where}.{name}")
    return progress


def check_counters(given: Any, updates: int, path: str) -> None:
    """Raise `FieldError` where a counter of Lightning's loop does not fit the updates.

    A checkpoint may be written before Lightning has counted the latest update.
    """
    for where, count in leaves_of(given, path):
        if isinstance(count, bool):
            continue
        if not isinstance(count, int) or not updates - 1 <= count <= updates:
            raise FieldError(f"is {shown(count)}", f"{updates}, the number of updates, or 1 less", where)


def at_path(path: str, kind: Any, value: Any) -> Any:
    """Read a value of a type; an error names its path too."""
    try:
        return from_plain(kind, value)
    except FieldError as misfit:
        raise misfit.inside(path) from None


def _as_tuple(fresh: dict[str, Any], name: str) -> Any:
    value = fresh["param_groups"][0][name]
    return tuple(value) if isinstance(value, list) else value


def _check_leaf(given: Any, like: Any, path: str) -> None:
    if like is None:
        if given is not None:
            raise FieldError(f"is {shown(given)}", "nothing", path)
        return
    kind = Count if type(like) is int else dict[Any, Any] if isinstance(like, dict) else type(like)
    at_path(path, kind, given)
