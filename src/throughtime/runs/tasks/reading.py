"""Series of a file, as the settings of a task say."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from throughtime.errors import InputFileError
from throughtime.runs.tasks.series_settings import SeriesSettings, names_in

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from throughtime.data.columns import Column
    from throughtime.data.series import Rows, SeriesSet


def read_columns(series: SeriesSet) -> dict[str, Column]:
    """Return the columns [steps] that a model can read.

    Those with a value per series have it at every step.
    """
    return {**series.columns, **{name: column.take(series.of_step) for name, column in series.statics.items()}}


def opened(
    file: str, given: SeriesSettings, *, trained: bool = False, asked: bool = False, future: str = ""
) -> tuple[SeriesSet, SeriesSettings]:
    """Return the series of a file, and the settings with the roles recognised.

    Args:
        file: a file, a folder, or a pattern of files.
        given: what the columns are.
        trained: whether a model was trained with these settings, so that columns it leaves out may be missing.
        asked: whether the target may be missing.
        future: a table of steps to come, for forecasts; "" for none.

    Raises:
        InputFileError: the file cannot be read, or is not what the settings say.
        ArgumentError: a setting names no column.
    """
    from throughtime.data.formats.choice import read
    from throughtime.data.future_rows import with_future
    from throughtime.data.roles import Roles, completed, series_of
    from throughtime.data.series import SeriesSet

    read_data = read(file, given.format, given.layout)
    if isinstance(read_data, SeriesSet):
        if future:
            raise InputFileError(f"{file} is no table, so the steps to come cannot be read from {future}.")
        return read_data, given
    target = tuple(name for name in names_in(given.target) if name in read_data.columns or not asked)
    roles = Roles(
        id=given.id or None,
        time=given.time or None,
        target=target,
        static=names_in(given.static),
        ignore=tuple(name for name in names_in(given.ignore) if name in read_data.columns or not trained),
        **given.roles(),
    )
    if future:
        read_data = with_future(read_data, _table(future), completed(read_data, roles)[0])
    series, (roles, _) = series_of(read_data, roles), completed(read_data, roles)
    known = replace(given, id=roles.id or "", time=roles.time or "", target=",".join(roles.target))
    return series, known


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
    column = series.columns[name]
    first = column.take(series.starts[:-1])
    repeated = first.take(series.of_step)
    same = codes_of(column) == codes_of(repeated)
    return first if bool((same | (column.missing & repeated.missing)).all()) else None


def codes_of(column: Column) -> NDArray[Any]:
    """Return numbers, or the numbers of words."""
    from throughtime.data.columns import Numbers

    return column.values if isinstance(column, Numbers) else column.numbers
