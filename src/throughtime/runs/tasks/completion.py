"""Options of a run, completed by the task and its defaults. No torch is imported."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from throughtime.runs.choice import USUAL, kinds
from throughtime.runs.tasks.base import Task
from throughtime.runs.tasks.inference import inferred_online_task, inferred_task
from throughtime.runs.tasks.of_series import SeriesTask
from throughtime.runs.tasks.reading import content_of
from throughtime.runs.tasks.series_settings import SeriesSettings

if TYPE_CHECKING:
    from throughtime.data.series import Rows, SeriesSet


def with_task(
    values: Mapping[str, Any], given: Collection[str], source: str | Rows | SeriesSet, say: Callable[[str], None]
) -> tuple[dict[str, Any], Rows | SeriesSet | None]:
    """Return options with a task and its defaults, and what was read to tell.

    Where none is named, it is the task that the data stand for.

    Args:
        values: options by name.
        given: the names of those that the user gave, which a task's own defaults leave as they are.
        source: the file, or what was read of it.
        say: prints a line.
    """
    if values["resume"]:
        return dict(values), None
    task, roles, held = values["task"], {}, None
    if not task:
        if values["online"] and isinstance(source, str):
            task, reason = inferred_online_task(source, values)
        else:
            inferred = inferred_task(source, values)
            task, reason, roles, held = inferred.name, inferred.reason, inferred.roles, inferred.held
        if task == USUAL[values["online"]]:
            return dict(values), None
        say(f"Task    {task}: {reason}")
    kind = next((kind for kind in kinds() if kind.name == task), Task)
    chosen = {name: values[name] for name in given if name in values}
    if held is None and issubclass(kind, SeriesTask):
        held = content_of(source, SeriesSettings.of(values))
    usual = {name: value for name, value in kind.usual(chosen, _steps_of(held)).items() if name not in chosen}
    if usual:
        told = ", ".join(f"`{name}` {value}" for name, value in usual.items())
        say(f"Usual   {told}: the defaults of the task {kind.name}, for what was not given.")
    return {**values, **roles, "task": task, **usual}, held


def _steps_of(content: Rows | SeriesSet | None) -> int | None:
    from throughtime.data.series import Rows

    if content is None:
        return None
    return content.rows if isinstance(content, Rows) else content.steps
