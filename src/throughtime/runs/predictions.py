"""Predictions of a model as a table, with ids and times as they came."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from torch import Tensor

from throughtime.data.columns import Column, Numbers, column_of, joined
from throughtime.data.series import SeriesSet
from throughtime.data.streams import Chunk
from throughtime.data.writing import Instants, Table
from throughtime.errors import UnsupportedError
from throughtime.runs.evaluation import predicted
from throughtime.runs.model import SequenceModel
from throughtime.runs.tasks.base import Data, Task


def predictions(task: Task, model: SequenceModel, data: Data) -> Table:
    """Return the predictions of a model as a table; see `table_of`.

    Args:
        task: of the run.
        model: in evaluation mode.
        data: as `Task.asked` reads them.

    Raises:
        UnsupportedError: the data are no series.
    """
    if data.series is None:
        raise UnsupportedError(f"The task {task.name} has no series to predict; see its metrics.")
    pairs = predicted(model, data.streams)
    return table_of(task, pairs, data.series) if data.stamps is None else forecasts_of(task, pairs, data)


def forecasts_of(task: Task, predicted: Iterable[tuple[Tensor, Chunk]], data: Data) -> Table:
    """Return the forecasts of a task as a table.

    They are in the order of series, cut-offs and steps ahead. The first columns are the id, the time of the step that
    is forecast and that of the cut-off, as they came, and the steps ahead, counted from 1.

    Args:
        task: the task.
        predicted: pairs of outputs and chunk.
        data: the data, with series and stamps.
    """
    assert data.series is not None and data.stamps is not None
    rows = [row for pair in predicted for row in task.rows(*pair)]
    rows.sort(key=lambda row: (row["series"], row["step"], row["ahead"]))
    series, steps, ahead = ([row.pop(name) for row in rows] for name in ("series", "step", "ahead"))
    id_name, time_name = data.series.names
    cells: dict[str, list[Any]] = {} if not id_name else {id_name: [data.series.ids[number] for number in series]}
    for name, values in data.stamps(series, steps, ahead).items():
        cells[time_name or name if name == "time" else name] = list(values)
    cells[_free("step", cells)] = ahead
    cells |= {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}
    return {name: column_of(values) for name, values in cells.items()}


def table_of(task: Task, predicted: Iterable[tuple[Tensor, Chunk]], series: SeriesSet) -> Table:
    """Return the predictions of a task over series.

    They are in the order of the series and their steps. The first columns are the id and the time of the step, with the
    names that they came by, and the number of the step in its series, counted from 0; then come those of the task. They
    are held as numbers, 8 bytes each.

    Args:
        task: the task.
        predicted: pairs of outputs and chunk; see `throughtime.runs.evaluation.predicted`.
        series: the series.
    """
    columns = _joined(task.predictions(*pair) for pair in predicted)
    places = {name: columns.pop(name) for name in ("series", "step")}
    number, step = (np.asarray(places[name].values, dtype=np.int64) for name in places)  # type: ignore[union-attr]
    order = np.lexsort((step, number))
    number, step = number[order], step[order]
    table: list[tuple[str, Column | Instants]] = []
    id_name, time_name = series.names
    if id_name:
        table.append((id_name, column_of(series.ids).take(number)))
    if series.times is not None and series.clock is not None:
        inside = step < series.lengths[number]
        at = np.where(inside, series.starts[number] + step, 0)
        values = np.where(inside, series.times[at], np.datetime64("NaT"))
        table.append((time_name, Instants(values, series.clock)))
    table += [(name, column.take(order)) for name, column in columns.items()]
    where = len(table) - len(columns)
    table.insert(where, (_free("step", dict(table)), Numbers(step.astype(np.float64), whole=True)))
    return dict(table)


def _joined(parts: Iterable[Mapping[str, Column]]) -> dict[str, Column]:
    pieces: dict[str, list[Column]] = {}
    for part in parts:
        for name, column in part.items():
            pieces.setdefault(name, []).append(column)
    return {name: joined(columns) for name, columns in pieces.items()}


def _free(name: str, taken: Mapping[str, object]) -> str:
    """Return a name that is not taken: with underlines after it, where it is."""
    while name in taken:
        name += "_"
    return name
