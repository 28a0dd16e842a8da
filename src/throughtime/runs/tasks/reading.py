"""Series of a file, as the settings of a task say."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from throughtime.data.names import in_memory
from throughtime.errors import ArgumentError, InputFileError
from throughtime.runs.tasks.series_settings import SeriesSettings, names_in

if TYPE_CHECKING:
    from throughtime.data.columns import Column
    from throughtime.data.roles import Roles
    from throughtime.data.series import Rows, SeriesSet


def read_columns(series: SeriesSet) -> dict[str, Column]:
    """Return the columns [steps] that a model can read.

    Those with a value per series have it at every step.
    """
    return {**series.columns, **{name: column.take(series.of_step) for name, column in series.statics.items()}}


def content_of(source: str | Rows | SeriesSet, given: SeriesSettings) -> Rows | SeriesSet:
    """Return what a file holds; what was read before comes back as it is.

    Raises:
        InputFileError: the file cannot be read, or is not what the settings say.
    """
    from throughtime.data.formats.choice import read

    if not isinstance(source, str):
        return source
    if in_memory(source):
        raise InputFileError(
            f"{source} stands for data that the run read from memory, and no file holds them: name a file with the "
            "same data, or go on from Python with tt.training.fit(data, resume=RUN)."
        )
    return read(source, given.format, given.layout)


def recognised(
    rows: Rows, given: SeriesSettings, *, trained: bool = False, asked: bool = False
) -> tuple[Rows, Roles, SeriesSettings]:
    """Return rows with notes on the roles recognised, the roles, and the settings with them.

    Args: see `opened`.
    """
    from throughtime.data.roles import Roles, completed

    target = tuple(name for name in names_in(given.target) if name in rows.columns or not asked)
    roles = Roles(
        id=given.id or None,
        time=given.time or None,
        target=target,
        static=names_in(given.static),
        ignore=tuple(name for name in names_in(given.ignore) if name in rows.columns or not trained),
        weight=(given.weight or None) if given.weight in rows.columns or not asked else None,
        **given.roles(),
    )
    roles, notes = completed(rows, roles)
    # The column that tells the file was added by reading several, and a file to predict may be alone.
    name = "" if roles.id is None or roles.id == rows.file_column else roles.id
    known = replace(given, id=name, time=roles.time or "", target=",".join(roles.target))
    return replace(rows, notes=list(dict.fromkeys([*rows.notes, *notes]))), roles, known


def opened(
    source: str | Rows | SeriesSet,
    given: SeriesSettings,
    *,
    trained: bool = False,
    asked: bool = False,
    future: str = "",
) -> tuple[SeriesSet, SeriesSettings]:
    """Return the series of data, and the settings with the roles recognised.

    Args:
        source: a file, a folder, or a pattern of files; or what was read of them.
        given: what the columns are.
        trained: whether a model was trained with these settings, so that columns it leaves out may be missing.
        asked: whether the target may be missing.
        future: a table of steps to come, for forecasts; "" for none.

    Raises:
        InputFileError: the file cannot be read, or is not what the settings say.
        ArgumentError: a setting names no column, or is for tables alone.
    """
    from throughtime.data.future_rows import with_future
    from throughtime.data.roles import series_of
    from throughtime.data.series import SeriesSet

    content = content_of(source, given)
    if isinstance(content, SeriesSet):
        if future:
            name = content.origin.name
            raise InputFileError(f"{name} is no table, so the steps to come cannot be read from {future}.")
        if given.weight and not trained:
            raise ArgumentError("weight", f"is {given.weight!r}", f"{content.origin.name} is no table", "leave it out")
        return content, given
    rows, roles, known = recognised(content, given, trained=trained, asked=asked)
    if future:
        rows = with_future(rows, _table(future), roles)
    return series_of(rows, roles), known


def _table(file: str) -> Rows:
    from throughtime.data.formats.choice import read
    from throughtime.data.series import Rows

    rows = read(file)
    if not isinstance(rows, Rows):
        raise InputFileError(f"FILE {file} is no table with a row per step to come.")
    return rows


def constant_of(series: SeriesSet, name: str) -> Column | None:
    """Return a column as a value per series [series].

    None: it changes within a series.
    """
    import numpy as np

    from throughtime.data.large import blocks

    column = series.columns[name]
    first = column.take(series.starts[:-1])
    for rows in blocks(len(column)):
        of_step = np.searchsorted(series.starts, np.arange(rows.start, rows.stop), side="right") - 1
        here, repeated = column.take(rows), first.take(of_step)
        if not ((here.codes == repeated.codes) | (here.missing & repeated.missing)).all():
            return None
    return first
