"""Options of a run that goes on from the model of another run.

No torch is imported.
"""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from throughtime.data.names import full_path
from throughtime.errors import ArgumentError
from throughtime.records import read_record
from throughtime.runs.choice import task_of_record
from throughtime.runs.config import read_config
from throughtime.runs.options import options
from throughtime.runs.settings import ModelSettings, TaskSettings

_FREE = {"dropout", "format", "layout", "split", "encoding"}
"""Options of model and task that the other run does not decide."""


def like_start(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with those of the run in `start_from`, where it decides them.

    It decides the task, the shape of the model, and what is read of the data.

    Args:
        values: options by name.

    Raises:
        RunFolderError: the folder is no run, or damaged.
        ArgumentError: an option differs from that of the run, or the run learned online.
    """
    folder = Path(values["start_from"])
    kind = task_of_record(read_record(folder))
    if kind.online or values["online"]:
        raise ArgumentError("start_from", f"is {folder}", "it goes with runs in passes over a file", "leave it out")
    before = read_config(folder, kind)
    if values["task"] not in ("", kind.name):
        raise ArgumentError("task", f"is {values['task']}", f"the run to start from has {kind.name}", "leave it out")
    return {
        **values,
        **_decided(values, before.model, ModelSettings),
        **_decided(values, before.task, kind.settings),
        "task": kind.name,
        "start_from": full_path(str(folder)),
    }


def _decided(values: Mapping[str, Any], before: Any, group: type[ModelSettings] | type[TaskSettings]) -> dict[str, Any]:
    usual = {entry.name: entry.default for entry, _, _ in options(group)}
    decided = {entry.name: getattr(before, entry.name) for entry in fields(before) if entry.name not in _FREE}
    for name, value in decided.items():
        given = values.get(name, usual[name])
        if given not in (usual[name], value):
            raise ArgumentError(name, f"is {given}", f"the run to start from has {value or 'none'}", "leave it out")
    return decided
