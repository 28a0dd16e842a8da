"""Rows of steps to come, put after the rows that tell the past."""

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from throughtime.data.columns import Cell, Column, Numbers, joined
from throughtime.data.notes import named
from throughtime.data.roles import Roles
from throughtime.data.series import Rows
from throughtime.errors import InputFileError
from throughtime.wording import plural


def with_future(rows: Rows, future: Rows, roles: Roles) -> Rows:
    """Return rows followed by those of the steps to come.

    Of these, the id, the time and what is known ahead are read; static values are those of the series.

    Args:
        rows: the past.
        future: the steps to come.
        roles: of the columns of the past.

    Raises:
        InputFileError: the steps to come have no column that they need.
    """
    needed = [name for name in (roles.id, roles.time, *roles.known) if name is not None]
    for name in needed:
        if name not in future.columns:
            raise InputFileError(
                f"FILE {future.origin.name} has no column {name!r}, which tells {_purpose(name, roles)}; its columns "
                f"are {named(future.columns)}."
            )
    columns = {
        name: joined([column, _later(name, rows, future, roles, needed)]) for name, column in rows.columns.items()
    }
    left = [name for name in future.columns if name not in needed]
    notes = [f"FILE {future.origin.name} tells of {plural(future.rows, 'step')} to come."]
    notes += [f"Its columns {named(left)} are not known ahead and were left out."] if left else []
    lines = np.concatenate([rows.lines, future.lines])
    return replace(rows, columns=columns, rows=rows.rows + future.rows, lines=lines, notes=[*rows.notes, *notes])


def _purpose(name: str, roles: Roles) -> str:
    if name == roles.id:
        return "the series"
    return "the time of a step" if name == roles.time else "what is known ahead"


def _later(name: str, rows: Rows, future: Rows, roles: Roles, needed: Collection[str]) -> Column:
    """Return a column of the steps to come; missing where it is not known ahead."""
    if name in needed:
        return future.columns[name]
    if name in roles.static and roles.id is not None:
        ids = rows.columns[roles.id]
        first: dict[Cell, int] = {}
        for row in range(rows.rows - 1, -1, -1):
            first[ids.cell(row)] = row
        asked = future.columns[roles.id]
        places = [first.get(asked.cell(row), -1) for row in range(future.rows)]
        if -1 not in places:
            return rows.columns[name].take(np.array(places))
    return Numbers(np.full(future.rows, np.nan), whole=True)
