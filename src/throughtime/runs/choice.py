"""Choose the task of a run, by settings or by record. No torch is imported: the command line asks here."""

from collections.abc import Iterator, Mapping
from dataclasses import Field, fields, replace
from pathlib import Path
from typing import Any

from throughtime.errors import ArgumentError, RunFolderError
from throughtime.records import RECORD, Record
from throughtime.records.files import damaged
from throughtime.records.ranges import shown
from throughtime.runs import tasks
from throughtime.runs.options import Option, options
from throughtime.runs.settings import DataSettings, ModelSettings, OptimizationSettings, RunSettings, TaskSettings
from throughtime.runs.tasks.base import Task
from throughtime.wording import listed

GROUPS: dict[str, type] = {"data": DataSettings, "model": ModelSettings, "optimization": OptimizationSettings}
"""Option groups that every task has: title on the command line → settings class.

Each title is also a field of `RunSettings`.
"""

USUAL = {False: "text", True: "stream"}
"""The task that is meant where none is named: `online` of the run → name of the task."""


def kinds() -> list[type[Task]]:
    """Return every task that `throughtime.runs.tasks` exports."""
    return [kind for kind in vars(tasks).values() if isinstance(kind, type) and issubclass(kind, Task)]


def groups() -> Iterator[tuple[str, type, list[tuple[Field[Any], Any, Option]]]]:
    """Yield the option groups of the command line: title, settings class, options.

    An option that a settings class inherits is listed once, where it comes first.
    """
    names: dict[type, list[str]] = {}  # tasks with the same settings are a single group
    for kind in kinds():
        names.setdefault(kind.settings, []).append(kind.name)
    of_tasks = {f"task {', '.join(sharing)}": settings for settings, sharing in names.items()}
    listed_before: set[str] = set()
    for title, settings in (GROUPS | of_tasks).items():
        new = [entry for entry in options(settings) if entry[0].name not in listed_before]
        listed_before |= {entry[0].name for entry in new}
        if new:
            yield title, settings, new


def kind_of(settings: RunSettings) -> type[Task]:
    """Return the task that the settings name.

    Without a name that is the usual task, or else the first that fits.

    Raises:
        ArgumentError: no task has that name, or it learns in another way.
    """
    wanted, given, online = settings.data.task, type(settings.task), settings.optimization.online
    way = "online" if online else "in passes over a file"
    fitting = {kind.name: kind for kind in kinds() if kind.online == online and given in (kind.settings, TaskSettings)}
    chosen = fitting.get(wanted or USUAL[online])
    if chosen is None and not wanted:
        chosen = next(iter(fitting.values()), None)
    if chosen is not None:
        return chosen
    names = [kind.name for kind in kinds() if kind.online == online]
    if wanted and wanted not in names:
        raise ArgumentError("task", f"is {wanted}", f"a run that learns {way} has the task {listed(names, 'or')}")
    raise ArgumentError("task", f"has settings of the class {given.__name__}", f"no task that learns {way} has such")


def task_of_record(record: Record) -> type[Task]:
    """Return the class of a run's task. Records of version 0.1.0 name no task: they are of text, or predict like it."""
    name = record.task or "text"
    for kind in kinds():
        if kind.name == name:
            return kind
    raise RunFolderError(
        f"The run has the task {shown(name)}, which this throughtime does not know: use the throughtime that wrote it."
    )


def task_and_model(record: Record, folder: Path, kind: type[Task] | None = None) -> tuple[Task, ModelSettings]:
    """Return the task of a run and the settings of its model.

    They are checked as those of a new run are.

    Args:
        record: the run's record.
        folder: the run folder, for messages.
        kind: the class of the task; None: the one that the record names.

    Raises:
        RunFolderError: the record names no task that is known here, or says of model or settings what cannot be.
    """
    kind = kind or task_of_record(record)
    model = ModelSettings(**{entry.name: getattr(record.model, entry.name) for entry in fields(ModelSettings)})
    try:
        RunSettings(record.data.file, model=model)  # which checks the model
        if record.settings:  # records of version 0.1.0 have none
            _check_recorded(record, kind, model)
        return kind.from_record(record), model
    except ArgumentError as error:
        raise damaged(folder / RECORD, fault=error) from None
    except (KeyError, TypeError, ValueError) as error:  # a task reads its facts without checking them
        fault = f"the task {kind.name} cannot be made from it ({type(error).__name__}: {shown(str(error))})"
        raise damaged(folder / RECORD, fault=fault) from None


def _check_recorded(record: Record, kind: type[Task], model: ModelSettings) -> None:
    """Raise `ArgumentError` where the recorded settings are none, or not those of the recorded model."""
    settings = settings_from({"file": record.data.file, **record.settings}, kind)
    for name in record.settings.keys() - settings.flat().keys():
        raise ArgumentError(f"settings.{shown(name)}", "is not known")
    for name, value in vars(model).items():
        if value != getattr(settings.model, name):
            raise ArgumentError(f"model.{name}", f"is {value}", f"settings.{name} is {getattr(settings.model, name)}")
    if settings.optimization.online != kind.online:
        raise ArgumentError("settings.online", f"is {settings.optimization.online}", f"the task is {kind.name}")


def settings_from(values: Mapping[str, Any], kind: type[Task] | None = None) -> RunSettings:
    """Build settings from values by option name; missing options keep the defaults of the task.

    Args:
        values: with at least `file`.
        kind: the task; None: what the values choose.

    Raises:
        ArgumentError: a value that is out of range, does not fit the others, or belongs to another task.
    """
    parts = {group: _filled(settings, values) for group, settings in GROUPS.items()}
    file = values.get("file")
    if not isinstance(file, str):
        raise ArgumentError("file", "is missing" if file is None else f"is {shown(file)}", "it must be text")
    chosen = kind or kind_of(RunSettings(file, **parts))
    known = {entry.name for entry in fields(chosen.settings)}
    for others in {other.settings for other in kinds()} - {chosen.settings}:
        for entry, _, _ in options(others):
            if entry.name not in known and values.get(entry.name, entry.default) != entry.default:
                value, allowed = values[entry.name], f"the task {chosen.name} has no use for it"
                raise ArgumentError(entry.name, f"is {value}", allowed, "leave it out")
    if usual := chosen.usual(values):
        values = {**usual, **values}
        parts = {group: _filled(settings, values) for group, settings in GROUPS.items()}
    return RunSettings(file, **parts, task=_filled(chosen.settings, values))


def with_task_settings(settings: RunSettings, kind: type[Task]) -> RunSettings:
    """Replace a plain `TaskSettings()` by the defaults of the task."""
    return replace(settings, task=kind.settings()) if type(settings.task) is TaskSettings else settings


def _filled(settings: type, values: Mapping[str, Any]) -> Any:
    """Return an instance of a settings class, filled by option name."""
    return settings(**{entry.name: values[entry.name] for entry in fields(settings) if entry.name in values})
