"""Read, write and check `config.yaml`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from throughtime.errors import ArgumentError, RunFolderError
from throughtime.records import CONFIG, Record, write_aside
from throughtime.records.files import content, damaged
from throughtime.records.ranges import shown
from throughtime.runs.choice import settings_from
from throughtime.runs.settings import RunSettings
from throughtime.runs.tasks.base import Task


def write_config(folder: Path, settings: RunSettings) -> None:
    """Write `config.yaml`."""
    write_aside(folder / CONFIG, yaml.safe_dump(settings.flat(), sort_keys=False, allow_unicode=True).encode())


def read_config(folder: Path, kind: type[Task] | None = None) -> RunSettings:
    """Read the settings of a run from `config.yaml`.

    Args:
        folder: the run folder.
        kind: the task of the run; None: what the settings choose.

    Raises:
        RunFolderError: the file is missing or damaged.
    """
    path = folder / CONFIG
    if not path.exists():
        raise RunFolderError(f"RUN {folder} has no {CONFIG}, so it cannot be continued; train anew.")
    try:
        values = yaml.safe_load(content(folder, CONFIG))
    except (ValueError, yaml.YAMLError, RecursionError):
        raise damaged(path, fault="it is not what throughtime writes, but cut off or no YAML") from None
    if not isinstance(values, dict):
        raise damaged(path, fault=f"its content is {shown(values)}; it must be a dictionary")
    try:
        settings = settings_from(values, kind)
    except ArgumentError as error:
        raise damaged(path, fault=error) from None
    for name in values.keys() - settings.flat().keys():
        raise damaged(path, fault=f"{shown(name)} is no option of such a run")
    return settings


def check_same_run(wanted: RunSettings, before: RunSettings, record: Record) -> None:
    """Raise `ArgumentError` where settings differ from the run to continue."""
    recorded = before.flat()
    for name, value in wanted.lasting().items():
        if value != recorded.get(name, value):
            raise ArgumentError(
                name,
                f"is {_shown(value)}",
                f"the run to resume has {_shown(recorded[name])}",
                "leave it out, or start a new run",
            )
    if not wanted.optimization.online and wanted.optimization.epochs < record.results.epochs:
        epochs, done = wanted.optimization.epochs, record.results.epochs
        raise ArgumentError(
            "epochs", f"is {epochs}", f"the run has done {done:g} epochs", f"give {int(done) + 1} or more"
        )


def _shown(value: Any) -> Any:
    return "none" if value is None else value


def check_unedited(folder: Path, settings: RunSettings, kept: Mapping[str, Any], where: str) -> None:
    """Raise `RunFolderError` where `config.yaml` was edited after the run began.

    Args:
        folder: the run folder.
        settings: what `config.yaml` says.
        kept: by option name, what the record or the checkpoint says; empty in runs of version 0.1.0.
        where: the name of the file that says so.
    """
    for name, value in settings.lasting().items():
        if name in kept and kept[name] != value:
            raise RunFolderError(
                f"{folder / CONFIG} says `{name}` {shown(value)}, but the run was trained with {shown(kept[name])}, as "
                f"{where} says: the file was edited; write {shown(kept[name])} there again, or start a new run."
            )
