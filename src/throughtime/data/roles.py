"""Roles of columns, and the series that rows make by them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

from throughtime.data.clock import Times
from throughtime.data.columns import Cell, Column, Numbers, Words, by_first_row
from throughtime.data.large import blocks, computed, distinct_of, is_mapped, taken
from throughtime.data.notes import named, shortened
from throughtime.data.series import Rows, SeriesSet
from throughtime.data.times import Epoch, Moments, are_times, moments_of
from throughtime.errors import ArgumentError
from throughtime.wording import listed, plural

_IDS, _TIMES, _TARGETS = ("unique_id", "item_id", "case_id"), ("ds", "timestamp"), ("target", "y")
"""Names, in any case, of columns whose roles are known; "y" without an id or a time may be a coordinate."""


@dataclass(frozen=True)
class Roles:
    """Roles of columns, by their names.

    A column without a role is an input whose future is not known.

    Attributes:
        id: the series of a row; None for a single series.
        time: the time of a row; None where rows are in order.
        target: what is predicted.
        known: inputs known ahead, such as holidays.
        past: inputs known up to the present.
        static: inputs with a value per series.
        ignore: columns that are left out.
        weight: the weight of a row in the loss.
        epoch: the unit in which a time that is a number counts from 1970; None where it counts from anywhere.
    """

    id: str | None = None
    time: str | None = None
    target: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    past: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    weight: str | None = None
    epoch: Epoch | None = None

    def named(self) -> dict[str, tuple[str, ...]]:
        """Return the names of columns by their role."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "epoch"}
        return {role: (name,) if isinstance(name, str) else name or () for role, name in values.items()}


def completed(rows: Rows, roles: Roles) -> tuple[Roles, list[str]]:
    """Return the given and the recognised roles, with notes on the latter.

    Recognised are `unique_id`, `ds` and `y`, `item_id`, `timestamp` and `target`, and `case_id`, in any case; and where
    no time is among them, the only column whose words are all times. A column whose times most rows of a series share,
    such as a date of birth, is no such column. Where several files were read and no column is the id, each file is a
    series.

    Args:
        rows: the rows.
        roles: as the user gave them; they come first.

    Raises:
        ArgumentError: a name is no column, or a column has two roles.
        InputFileError: an id is missing.
    """
    _check_names(rows, roles)
    notes: list[str] = []
    for role, known in (("id", _IDS), ("time", _TIMES)):
        name = _recognised(known, _free(rows, roles))
        if name is not None and not roles.named()[role]:
            roles = replace(roles, **{role: name})
            notes.append(f"Column {name!r} is the {role}, by its name.")
    if roles.id is None and rows.file_column:
        roles = replace(roles, id=rows.file_column)
        notes.append("Each file is a series, as no column is named as the id.")
    if roles.time is None:
        roles, notes = _with_time(rows, roles, notes)
    name = _recognised(_TARGETS if roles.id or roles.time else _TARGETS[:1], _free(rows, roles))
    if name is not None and not roles.target:
        roles = replace(roles, target=(name,))
        notes.append(f"Column {name!r} is the target, by its name.")
    return roles, notes


def series_of(rows: Rows, roles: Roles) -> SeriesSet:
    """Return the series that rows make.

    The series are in the order of their ids, and their steps in the order of their times. Columns without a role are
    kept, other than the column that tells the file; the id, the time, the weight and the ignored ones are not. A target
    that is static too becomes the label.

    Args:
        rows: the rows.
        roles: what the columns are for; those of `completed` are added.

    Raises:
        ArgumentError: a name is no column, or a column has two roles.
        InputFileError: an id, a time or a weight is missing, two rows have an id and a time in common, a static column
            changes within a series, or a number is infinite.
    """
    roles, notes = completed(rows, roles)
    notes = [note for note in notes if note not in rows.notes]  # of roles that were completed before
    groups, ids = _groups(rows, roles.id)
    moments = moments_of(rows, roles.time, roles.epoch) if roles.time else None
    order = _order(rows, roles, groups, moments)
    starts = np.concatenate([[0], np.cumsum(np.bincount(groups, minlength=len(ids)))])
    weight = None if roles.weight is None else rows.columns[roles.weight]
    _check_weight(rows, roles.weight, weight)
    apart = [roles.id, roles.time, roles.weight, *roles.ignore]
    if rows.file_column in _free(rows, roles):
        apart.append(rows.file_column)
    used = {name: column for name, column in rows.columns.items() if name not in apart}
    _check_finite(rows, used)
    statics = _statics(rows, roles, order, starts)
    columns = {name: _sorted(column, order) for name, column in used.items() if name not in roles.static}
    label = next((statics.pop(name) for name in roles.target if name in roles.static), None)
    notes = [*rows.notes, *notes, *_notes(rows, roles, groups, moments, starts), *_constant(columns)]
    return SeriesSet(
        rows.origin,
        ids,
        starts,
        columns,
        statics,
        label,
        None if moments is None else taken(moments.values, order),
        notes,
        taken(rows.lines, order),
        None if moments is None else moments.clock,
        files=_files(rows, order, starts),
        weight=taken(weight.values, order) if isinstance(weight, Numbers) else None,
        names=(roles.id or "", roles.time or ""),
    )


def _recognised(known: Iterable[str], columns: list[str]) -> str | None:
    """Return the column with the first of some names; of several that differ in their case, none."""
    for name in known:
        alike = [column for column in columns if column.lower() == name]
        exact = [column for column in alike if column == name]
        if len(exact or alike) == 1:
            return (exact or alike)[0]
    return None


def _free(rows: Rows, roles: Roles) -> list[str]:
    """Return the columns without a role."""
    taken = {name for names in roles.named().values() for name in names}
    return [name for name in rows.columns if name not in taken]


def _with_time(rows: Rows, roles: Roles, notes: list[str]) -> tuple[Roles, list[str]]:
    columns = ((name, rows.columns[name]) for name in _free(rows, roles))
    words = {name: column for name, column in columns if isinstance(column, Words) and are_times(column)}
    groups = None if roles.id is None else _groups(rows, roles.id)[0]
    dates = [name for name, column in words.items() if groups is not None and _is_repeated(column, groups)]
    if dates:
        notes.append(f"Columns {named(dates)} hold times that most rows of a series share, so none is the time.")
    times = [name for name in words if name not in dates]
    if len(times) == 1:
        return replace(roles, time=times[0]), [*notes, f"Column {times[0]!r} is the time, since it holds times."]
    if times:
        notes.append(f"Columns {named(times)} hold times; without `time`, the rows count as in order.")
    return roles, notes


def _is_repeated(column: Words, groups: NDArray[np.int64]) -> bool:
    """Return whether most values of a column come twice in a series, as a date of birth does."""
    pairs = np.unique(groups * (len(column.levels) + 1) + column.numbers)
    return 2 * len(pairs) <= len(groups)


def _check_names(rows: Rows, roles: Roles) -> None:
    roles_of: dict[str, list[str]] = {}
    for role, names in roles.named().items():
        for name in names:
            if name not in rows.columns:
                _refuse_name(rows, role, name)
            roles_of.setdefault(name, []).append(role)
    for name, given in roles_of.items():
        if len(given) > 1 and given != ["target", "static"]:
            came = f"is {name!r}, which is given as {listed(given[:-1])} too"
            raise ArgumentError(given[-1], came, "a column has a single role", "leave one out")


def _refuse_name(rows: Rows, role: str, name: str) -> None:
    names = list(rows.columns)
    lower = {column.lower(): column for column in names}
    close = [lower[match] for match in get_close_matches(name.lower(), lower, n=3)]
    cure = f"did you mean {listed(map(repr, close), 'or')}?" if close else "name one of these"
    raise ArgumentError(role, f"is {name!r}", f"the columns of FILE {rows.origin.name} are {named(names)}", cure)


def _groups(rows: Rows, name: str | None) -> tuple[NDArray[np.int64], list[Cell]]:
    """Return the series [rows] of each row, and the ids of the series in their order."""
    if name is None:
        return np.zeros(rows.rows, dtype=np.int64), [None]
    column, mapped = rows.columns[name], is_mapped(rows.lines)
    if (missing := column.missing).any():
        said = "is missing: every row needs an id; fill it in, or leave the row out"
        raise rows.wrong(int(np.argmax(missing)), name, said)
    if isinstance(column, Numbers):
        ids = distinct_of(column.values)
        groups = computed(lambda block: np.searchsorted(ids, column.values[block]), rows.rows, mapped=mapped)
        return groups, [Numbers(ids, column.whole).cell(number) for number in range(len(ids))]
    used = np.unique(column.numbers)
    ordered = sorted(used.tolist(), key=column.levels.__getitem__)
    places = np.zeros(len(column.levels), dtype=np.int64)
    places[ordered] = np.arange(len(ordered))
    groups = computed(lambda block: places[column.numbers[block]], rows.rows, mapped=mapped)
    return groups, [column.levels[number] for number in ordered]


def _order(rows: Rows, roles: Roles, groups: NDArray[np.int64], moments: Moments | None) -> NDArray[np.int64] | slice:
    """Return the rows in the order of series and times; a slice where they are so already."""
    if is_mapped(groups) and _is_sorted(groups, None if moments is None else moments.values):
        return slice(None)
    if moments is None or roles.time is None:
        return np.argsort(groups, kind="stable")
    if (missing := np.isnat(moments.values)).any():
        said = "is missing: every row needs a time; fill it in, or leave the row out"
        raise rows.wrong(int(np.argmax(missing)), roles.time, said)
    order = np.lexsort((moments.values, groups))
    same = (np.diff(groups[order]) == 0) & (np.diff(moments.values[order]) == np.timedelta64(0))
    if same.any():
        pairs = np.sort(np.stack([order[:-1][same], order[1:][same]]), axis=0)
        first, second = (int(row) for row in pairs[:, np.argmin(pairs[1])])
        _refuse_duplicate(rows, roles, roles.time, first, second)
    return order


def _is_sorted(groups: NDArray[np.int64], times: Times | None) -> bool:
    """Return whether rows come series by series, and in each with times that rise."""
    for block in blocks(len(groups) - 1):
        series, at = groups[block.start : block.stop + 1], slice(block.start, block.stop + 1)
        rises = series[1:] > series[:-1]
        if times is not None:
            rises |= (series[1:] == series[:-1]) & (times[at][1:] > times[at][:-1])
        elif not rises.all():
            rises |= series[1:] == series[:-1]
        if not rises.all():
            return False
    return True


def _refuse_duplicate(rows: Rows, roles: Roles, time: str, first: int, second: int) -> None:
    whose = "" if roles.id is None else f" for {roles.id} {rows.columns[roles.id].cell(second)!r}"
    cell, line = rows.columns[time].cell(second), f"{rows.origin.counts} {rows.lines[first]}"
    cure = "leave one out" if roles.id else "leave one out, or give the `id` that tells series apart"
    hours = (
        "; an hour that clocks show twice needs offsets such as +01:00" if isinstance(cell, str) and ":" in cell else ""
    )
    raise rows.wrong(second, time, f"is {cell!r}{whose}, as in {line}: {cure}{hours}")


def _check_finite(rows: Rows, columns: Mapping[str, Column]) -> None:
    for name, column in columns.items():
        if isinstance(column, Numbers) and (infinite := np.isinf(column.values)).any():
            said = "is infinite: leave the field empty where a value is missing, or ignore the column"
            raise rows.wrong(int(np.argmax(infinite)), name, said)


def _check_weight(rows: Rows, name: str | None, column: Column | None) -> None:
    if name is None or column is None:
        return
    if isinstance(column, Words):
        raise rows.wrong(0, name, f"is {column.cell(0)!r}: a weight must be a number of at least 0")
    if (wrong := ~((column.values >= 0) & np.isfinite(column.values))).any():
        row = int(np.argmax(wrong))
        came = "missing" if column.missing[row] else column.cell(row)
        raise rows.wrong(row, name, f"is {came}: a weight must be a number of at least 0")


def _statics(
    rows: Rows, roles: Roles, order: NDArray[np.int64] | slice, starts: NDArray[np.int64]
) -> dict[str, Column]:
    if not roles.static:
        return {}
    order = np.arange(rows.rows)[order]
    statics, series = {}, np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    for name in roles.static:
        column = rows.columns[name]
        values = column.values if isinstance(column, Numbers) else column.numbers
        firsts = order[starts[:-1]][series]
        # A missing value differs from any other, and from itself in numbers.
        differs = (values[order] != values[firsts]) & ~(column.missing[order] & column.missing[firsts])
        if differs.any():
            place = int(np.argmax(differs))
            row, first = int(order[place]), int(firsts[place])
            came, other = (shortened(str(column.cell(at))) for at in (row, first))
            said = f"is {came}, and {rows.origin.counts} {rows.lines[first]} of the same series has {other}"
            raise rows.wrong(row, name, f"{said}: a static column has a value per series; give it as `past` or `known`")
        statics[name] = _sorted(column, order[starts[:-1]])
    return statics


def _files(rows: Rows, order: NDArray[np.int64] | slice, starts: NDArray[np.int64]) -> list[str]:
    """Return the file of each series, "" for a series of several; no entries where a single file was read."""
    column = rows.columns.get(rows.file_column)
    if not isinstance(column, Words):
        return []
    numbers = column.numbers[order]
    firsts = numbers[starts[:-1]]
    mixed = np.logical_or.reduceat(numbers != np.repeat(firsts, np.diff(starts)), starts[:-1])
    return ["" if several else column.levels[number] for number, several in zip(firsts, mixed, strict=True)]


def _sorted(column: Column, order: NDArray[np.int64] | slice) -> Column:
    column = column.take(order)
    return by_first_row(column) if isinstance(column, Words) else column


def _notes(
    rows: Rows, roles: Roles, groups: NDArray[np.int64], moments: Moments | None, starts: NDArray[np.int64]
) -> list[str]:
    shortest, longest = int(np.diff(starts).min()), int(np.diff(starts).max())
    lengths = f"{shortest:,}" if shortest == longest else f"{shortest:,} to {longest:,}"
    notes = [
        f"{plural(rows.rows, 'row')} in, {rows.rows:,} used, 0 left out: {plural(len(starts) - 1, 'series')} of "
        f"{lengths} {'step' if longest == 1 else 'steps'}."
    ]
    if roles.ignore:
        notes.append(f"Columns left out, since they are to be ignored: {named(roles.ignore)}.")
    if moments is None:
        return [*notes, "Without a column of times, steps are in the order of the rows."]
    if unsorted := _unsorted(groups, moments.values):
        notes.append(
            f"Times were not in order; {plural(unsorted, 'row')} stood after a later time of the series. Sorted."
        )
    return [*notes, *moments.notes]


def _unsorted(groups: NDArray[np.int64], times: Times) -> int:
    """Return how many rows come right after a row of the same series with a later time."""
    if is_mapped(groups) and _is_sorted(groups, times):
        return 0
    in_file = np.argsort(groups, kind="stable")
    return int(((np.diff(groups[in_file]) == 0) & (np.diff(times[in_file]) < np.timedelta64(0))).sum())


def _constant(columns: Mapping[str, Column]) -> list[str]:
    constant, nothing = [], []
    for name, column in columns.items():
        values = column.values if isinstance(column, Numbers) else column.numbers
        present = values[~column.missing]
        if not len(present):
            nothing.append(name)
        elif len(values) > 1 and (present == present[0]).all() and len(present) == len(values):
            constant.append(name)
    notes = [f"Columns with the same value in every row: {named(constant)}."] if constant else []
    return notes + ([f"Columns without any value: {named(nothing)}."] if nothing else [])
