"""Task that a file of data stands for, where none is named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from throughtime.errors import InputFileError

if TYPE_CHECKING:
    from throughtime.data.series import Rows, SeriesSet

_MOST_CLASSES = 20
"""Distinct whole numbers of a target per series that are taken for classes; more are taken for numbers."""


@dataclass(frozen=True)
class Inferred:
    """Task that a file stands for.

    Attributes:
        name: of the task.
        reason: a sentence.
        held: what was read to tell, so that it need not be read again; None where nothing was.
        roles: options by name for the roles of columns that were recognised.
    """

    name: str
    reason: str
    held: Rows | SeriesSet | None = None
    roles: Mapping[str, str] = field(default_factory=dict)


def inferred_task(source: str | Rows | SeriesSet, values: Mapping[str, Any]) -> Inferred:
    """Return the task that data stand for, and why.

    Args:
        source: the file, as the command got it, or what was read of it.
        values: options by name, of which those of `ForecastSettings` say what the columns are.

    Raises:
        InputFileError: the file is neither text nor series, or has no target.
    """
    from throughtime.data.series import Rows
    from throughtime.runs.tasks.reading import content_of, opened, recognised
    from throughtime.runs.tasks.series_settings import SeriesSettings

    if isinstance(source, str) and (reason := _why_text(source, values)):
        return Inferred("text", reason)
    given = SeriesSettings.of(values)
    content = content_of(source, given)
    if isinstance(content, Rows):
        content, _, given = recognised(content, given)
    roles = {role: getattr(given, role) for role in ("id", "time", "target")}
    if reason := _reason_in_options(values):
        return Inferred("forecast", reason, content, roles)
    series, given = opened(content, given)
    reason = _reason_to_forecast(series, given.target)
    name, reason = ("forecast", reason) if reason else _task_of(series, given.target)
    roles = {role: getattr(given, role) for role in ("id", "time", "target")}
    return Inferred(name, reason, content, roles)


def _why_text(file: str, values: Mapping[str, Any]) -> str:
    """Return why a file is a text; "" where it is none."""
    from throughtime.data.formats.choice import holds_series
    from throughtime.data.text import SHIPPED_TEXT
    from throughtime.runs.options import options
    from throughtime.runs.tasks.symbols import SymbolSettings

    path = Path(file)
    of_text = [
        entry for entry, _, _ in options(SymbolSettings) if values.get(entry.name, entry.default) != entry.default
    ]
    if of_text or (file == SHIPPED_TEXT and not path.exists()):
        return f"{of_text[0].name} is for texts." if of_text else "The word pydoc stands for a text."
    if not path.exists() and not any(sign in file for sign in "*?["):
        return "There is no such file."  # which the task says better
    return f"{file} is no table, array or archive." if path.is_file() and not holds_series(path) else ""


def _reason_in_options(values: Mapping[str, Any]) -> str:
    """Return why options stand for a forecast; "" where they do not."""
    from throughtime.runs.options import options
    from throughtime.runs.tasks.forecast_settings import ForecastSettings
    from throughtime.runs.tasks.series_settings import DistributionSettings

    shared = {entry.name for entry in fields(DistributionSettings)}
    for entry, _, _ in options(ForecastSettings):
        if entry.name not in shared and values.get(entry.name, entry.default) != entry.default:
            return f"{entry.name} is for forecasts."
    return ""


def _reason_to_forecast(series: SeriesSet, target: str) -> str:
    """Return why the target is to be forecast; "" where it is not.

    A forecast is of numbers that change within series, whose steps have times. Without times, a number at every step
    is taken for a label. Series that are numbers alone, with nothing else to predict, are forecast in any case.
    """
    from throughtime.data.columns import Numbers
    from throughtime.runs.tasks.reading import constant_of
    from throughtime.runs.tasks.series_settings import names_in

    alone = not target and series.label is None and len(series.columns) == 1
    names = list(series.columns) if alone else [name for name in names_in(target) if name in series.columns]
    if not names or not all(isinstance(series.columns[name], Numbers) for name in names):
        return ""
    if alone and (series.times is not None or series.origin.name.removesuffix(".gz").endswith(".tsf")):
        return f"The file has {names[0]} alone, with nothing else to predict."
    changing = len(series) == 1 or constant_of(series, names[0]) is None
    if series.times is None or not changing:
        return ""
    return f"{names[0]} is a number that changes with time; the task label reads it from the other columns instead."


def _task_of(series: SeriesSet, target: str) -> tuple[str, str]:
    from throughtime.data.columns import Words
    from throughtime.runs.tasks.reading import constant_of

    label = series.statics.get(target) or series.label
    if target in series.columns:
        label = constant_of(series, target)
        if label is None or len(series) == 1:
            return "label", f"{target} changes within series."
    if label is None and target:
        raise InputFileError(
            f"{series.origin.name} has no column {target}; the columns are "
            f"{', '.join([*series.columns, *series.statics])}: name one of them in `target`."
        )
    if label is None:
        return "model", "There are no labels and no target, so each next step is predicted from the steps before it."
    if isinstance(label, Words):
        return "classify", "Each series has a class."
    distinct = {label.cell(row) for row in range(len(label))} - {None}
    if label.whole and len(distinct) <= min(_MOST_CLASSES, len(label) // 2):
        return "classify", f"Each series has one of {len(distinct)} whole numbers, which are taken for classes."
    return "regress", "Each series has a number."


_ROWS = (".csv", ".tsv", ".jsonl", ".ndjson")
"""Endings of files whose lines are rows, for a run that learns online."""


def inferred_online_task(file: str, values: Mapping[str, Any]) -> tuple[str, str]:
    """Return the name of the task of a run that learns online, and why.

    Args: see `inferred_task`.
    """
    if values.get("target"):
        return "rows", f"{values['target']} is a column of rows."
    if Path(file).suffix in _ROWS:
        return "rows", f"{file} has a row per line, by its name."
    return "stream", "It learns from bytes."
