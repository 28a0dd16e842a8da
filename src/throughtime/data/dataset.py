"""Data in memory with the roles of their columns, from files, frames and arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeGuard

from throughtime.data.columns import Cell
from throughtime.data.formats import choice
from throughtime.data.frames import rows_of_frame
from throughtime.data.memory_arrays import is_array, is_frame, series_of_arrays
from throughtime.data.names import memory_name
from throughtime.data.roles import Roles, completed
from throughtime.data.series import Rows, SeriesSet
from throughtime.errors import ArgumentError, ArgumentTypeError
from throughtime.wording import listed, plural

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from torch import Tensor


class FrameLike(Protocol):
    """Data frame, such as that of pandas, polars or pyarrow."""

    @property
    def columns(self) -> Any:
        """The columns, or their names."""


@dataclass(frozen=True, repr=False, eq=False)
class Dataset:
    """Data in memory, with the roles of their columns.

    Attributes:
        content: the rows of a table, or series.
        roles: of the columns, as they were given.
        file: the path that was read, as it was given; "" where the data came from memory or from several paths.
        format, layout: as they were given.
    """

    content: Rows | SeriesSet
    roles: Roles = Roles()
    file: str = ""
    format: str = ""
    layout: str = ""

    @property
    def name(self) -> str:
        """The file, or the kind of what came from memory, such as "<pandas.DataFrame>"."""
        return self.file or memory_name(self.content.origin.name)

    def __repr__(self) -> str:
        content = self.content
        if isinstance(content, Rows):
            size = f"{plural(content.rows, 'row')} of {plural(len(content.columns), 'column')}"
        else:
            columns = plural(len(content.columns), "column")
            labels = "" if content.label is None else ", with labels"
            size = f"{plural(len(content), 'series')} of {_lengths(content)} and {columns}{labels}"
        said = [f"{role} {listed(names)}" for role, names in self._told().items()]
        return f"<Dataset {content.origin.name}: {size}{'; ' if said else ''}{', '.join(said)}>"

    def _told(self) -> dict[str, tuple[str, ...]]:
        roles = completed(self.content, self.roles)[0] if isinstance(self.content, Rows) else self.roles
        order = ("target", "id", "time")
        named = {role: names for role, names in roles.named().items() if names}
        return dict(sorted(named.items(), key=lambda entry: order.index(entry[0]) if entry[0] in order else len(order)))


DataLike: TypeAlias = "Dataset | str | Path | Sequence[Any] | ArrayLike | Tensor | FrameLike"
"""What `read` takes."""


def read(
    source: DataLike,
    labels: ArrayLike | Sequence[Any] | None = None,
    *,
    target: str | Sequence[str] = (),
    id: str = "",
    time: str = "",
    static: str | Sequence[str] = (),
    ignore: str | Sequence[str] = (),
    lengths: Sequence[int] | ArrayLike | None = None,
    ids: Sequence[Cell] | ArrayLike | None = None,
    format: str = "",
    layout: str = "",
) -> Dataset:
    """Read data from a file, a data frame or arrays.

    Args:
        source: a path, a folder, a pattern such as "data/*.csv" or a list of paths; a frame of pandas, polars, pyarrow
            or another library, with a row per time step; or arrays or tensors: [series, time, column], [time], a list
            with an array [time, column] or [time] per series, or two axes that `layout` names.
        labels: of arrays, a class or a number per series, or per step of each series.
        target: the column to predict.
        id: the column that tells the series apart.
        time: the column of the time of each row.
        static: the columns with a single value per series; a list, or names with commas between them.
        ignore: the columns to leave out, likewise.
        lengths: of an array [series, time, column], the number of steps of each series; later steps are padding.
        ids: of arrays, a name for each series, text or whole numbers; None: their numbers, counted from 0.
        format: of a file, its format, such as "csv"; "" for that of its content.
        layout: the axes of an array, such as "NCT": N counts series, T steps, C columns.

    Raises:
        ArgumentError: a name is no column, or an argument does not go with the source.
        InputFileError: a file cannot be read, or the data do not fit together; the message names the place.
        UnsupportedError: a package of the extra `data` is needed and not installed.
    """
    roles = Roles(
        id=_plain("id", id) or None,
        time=_plain("time", time) or None,
        target=_names("target", target),
        static=_names("static", static),
        ignore=_names("ignore", ignore),
    )
    of_arrays = {"labels": labels, "lengths": lengths, "ids": ids}
    if is_path(source):
        _refuse(of_arrays, "a file", "only arrays in memory have them beside them")
        content = choice.read(source, format, layout)
        file = "" if not isinstance(source, str | Path) else str(source)
        return _checked(Dataset(content, roles, file, format, layout))
    _refuse({"format": format}, "data in memory", "only a file has a format")
    if is_array(source):
        series, per_step = series_of_arrays(source, labels, lengths, ids, layout)
        return _checked(Dataset(series, Roles(target=(per_step,)) if per_step else roles, layout=layout))
    if isinstance(source, Dataset):
        raise ArgumentTypeError("source", "is a Dataset, which was read before", "use it as it is")
    _refuse({**of_arrays, "layout": layout}, "a data frame", "only arrays have them")
    if not (is_frame(source) or hasattr(source, "__arrow_c_stream__")):
        came = f"is of type {type(source).__name__}"
        raise ArgumentTypeError("source", came, "it must be a path, a data frame, an array or a list of arrays")
    return _checked(Dataset(rows_of_frame(source), roles))


def is_path(source: object) -> TypeGuard[str | Path | Sequence[str | Path]]:
    """Return whether a source of data is a path or a list of paths."""
    if isinstance(source, str | Path):
        return True
    return isinstance(source, list | tuple) and bool(source) and all(isinstance(path, str | Path) for path in source)


def _refuse(given: dict[str, Any], what: str, reason: str) -> None:
    for name, value in given.items():
        if value is not None and not isinstance(value, str) or value:
            raise ArgumentError(name, f"came with {what}", reason, "leave it out")


def _names(role: str, given: str | Sequence[str]) -> tuple[str, ...]:
    """Return names of columns: of a list, or of a text that separates them by commas."""
    if isinstance(given, str):
        return tuple(name.strip() for name in given.split(",") if name.strip())
    return tuple(_plain(role, name) for name in given)


def _plain(role: str, name: str) -> str:
    """Return the name of a column. A comma is refused, as the settings of a run separate names by commas."""
    if not isinstance(name, str):
        raise ArgumentTypeError(role, f"is {name!r}", "it must be the name of a column, as text")
    if "," in name:
        raise ArgumentError(role, f"is {name!r}", "a column with a comma in its name has no role", "rename the column")
    return name


def _checked(dataset: Dataset) -> Dataset:
    if isinstance(dataset.content, Rows):
        completed(dataset.content, dataset.roles)
    return dataset


def _lengths(series: SeriesSet) -> str:
    shortest, longest = int(series.lengths.min()), int(series.lengths.max())
    return plural(longest, "step") if shortest == longest else f"{shortest:,} to {plural(longest, 'step')}"
