"""Task that a file of data stands for, where none is named."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from throughtime.errors import InputFileError

if TYPE_CHECKING:
    from throughtime.data.series import SeriesSet

_MOST_CLASSES = 20
"""Distinct whole numbers of a target per series that are taken for classes; more are taken for numbers."""


def inferred_task(file: str, values: Mapping[str, Any]) -> tuple[str, str]:
    """Return the name of the task that a file stands for, and why.

    Args:
        file: the data, as the command got it.
        values: options by name, of which those of `ForecastSettings` say what the columns are.

    Raises:
        InputFileError: the file is neither text nor series, or has no target.
    """
    from throughtime.data.formats.choice import holds_series
    from throughtime.data.text import SHIPPED_TEXT
    from throughtime.runs.options import options
    from throughtime.runs.tasks.forecast_settings import ForecastSettings
    from throughtime.runs.tasks.reading import opened
    from throughtime.runs.tasks.series_settings import SeriesSettings
    from throughtime.runs.tasks.symbols import SymbolSettings

    path = Path(file)
    of_text = [
        entry for entry, _, _ in options(SymbolSettings) if values.get(entry.name, entry.default) != entry.default
    ]
    if of_text or (file == SHIPPED_TEXT and not path.exists()):
        return "text", f"{of_text[0].name} is for texts." if of_text else "The word pydoc stands for a text."
    if not path.exists() and not any(sign in file for sign in "*?["):
        return "text", "There is no such file."  # which the task says better
    if path.is_file() and not holds_series(path):
        return "text", f"{file} is no table, array or archive."
    names = {entry.name for entry in fields(ForecastSettings)}
    given = ForecastSettings(**{name: value for name, value in values.items() if name in names})
    of_forecasts = [
        entry.name
        for entry, _, _ in options(ForecastSettings)
        if not hasattr(SeriesSettings, entry.name) and getattr(given, entry.name) != entry.default
    ]
    if of_forecasts:
        return "forecast", f"{of_forecasts[0]} is for forecasts."
    series, given = opened(file, given)
    reason = _reason_to_forecast(series, given.target)
    return ("forecast", reason) if reason else _task_of(series, given.target)


def _reason_to_forecast(series: "SeriesSet", target: str) -> str:
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


def _task_of(series: "SeriesSet", target: str) -> tuple[str, str]:
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
        raise InputFileError(
            f"{series.origin.name} has no labels, so it is not known what to predict; the columns are "
            f"{', '.join([*series.columns, *series.statics])}: name one in `target`, or take another `task`."
        )
    if isinstance(label, Words):
        return "classify", "Each series has a class."
    distinct = {label.cell(row) for row in range(len(label))} - {None}
    if label.whole and len(distinct) <= min(_MOST_CLASSES, len(label) // 2):
        return "classify", f"Each series has one of {len(distinct)} whole numbers, which are taken for classes."
    return "regress", "Each series has a number."
