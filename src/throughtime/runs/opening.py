"""Task that data stand for, and folder of a new run. No torch is imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from throughtime.runs.choice import USUAL
from throughtime.runs.tasks.inference import inferred_task

if TYPE_CHECKING:
    from throughtime.data.series import Rows, SeriesSet


def with_task(values: Mapping[str, Any], source: str | Rows | SeriesSet, say: Callable[[str], None]) -> dict[str, Any]:
    """Return options with a task, where a run in passes names none.

    It is the task that the data stand for.

    Args:
        values: options by name.
        source: the file, or what was read of it.
        say: prints a line.
    """
    if values["task"] or values["online"] or values["resume"]:
        return dict(values)
    name, reason = inferred_task(source, values)
    if name == USUAL[False]:
        return dict(values)
    say(f"Task    {name}: {reason}")
    return {**values, "task": name}


def default_folder(name: str) -> Path:
    """Return a new run folder, named after the data and the time."""
    folder = Path(f"runs/{name}-{datetime.now():%Y%m%d-%H%M%S}")
    number = 1
    while folder.exists():  # a run of less than a second came before
        number += 1
        folder = folder.with_name(f"{folder.name.removesuffix(f'-{number - 1}')}-{number}")
    return folder
