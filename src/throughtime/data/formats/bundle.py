"""Series in the named arrays of a file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from throughtime.data.columns import Cell, Column
from throughtime.data.formats.assembly import assemble, check_ids, join_columns, join_series, without_padding
from throughtime.data.formats.roles import PARTS, role_of
from throughtime.data.formats.stacks import Stack, cut, pile, stack
from throughtime.data.formats.tensors import arrange, check_layout, column_in, decoded, shape_of
from throughtime.data.series import Origin, SeriesSet
from throughtime.errors import InputFileError
from throughtime.wording import listed

LABEL = "y"
"""Column of a label that has a value at each step."""

Arrays = Mapping[str, NDArray | list[NDArray]]
"""Arrays by name; a list has an array per series."""


@dataclass
class _Part:
    """The arrays of a part of a file, by their role."""

    origin: Origin
    layout: str
    arrays: dict[str, NDArray | list[NDArray]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def add(self, role: str, name: str, array: NDArray | list[NDArray]) -> None:
        if role in self.names:
            raise InputFileError(
                f"FILE {self.origin.name} holds {self.names[role]} and {name}, and the names of both say that they are "
                f"{_ROLE_WORDS[role]}; save only one of them."
            )
        self.names[role], self.arrays[role] = name, array

    def where(self, role: str) -> str:
        name = self.names[role]
        return f"The array {name} of FILE {self.origin.name}" if name else f"The array of FILE {self.origin.name}"

    def vector(self, role: str) -> NDArray | None:
        """Return an array with one value per series; None where there is none of the role."""
        array = self.arrays.get(role)
        if array is None:
            return None
        values = np.concatenate([np.ravel(a) for a in array]) if isinstance(array, list) else np.asarray(array)
        if values.size != max(values.shape, default=1):
            raise InputFileError(f"{self.where(role)} has {shape_of(values)}; it must have a single value per series.")
        return values.reshape(-1)


_ROLE_WORDS = {
    "x": "the steps",
    "y": "the labels",
    "lengths": "the lengths",
    "starts": "the first steps",
    "ids": "the ids",
}


def series_in(origin: Origin, arrays: Arrays, layout: str = "", notes: Sequence[str] = ()) -> SeriesSet:
    """Return the series in the arrays of a file.

    The names tell what an array holds: see `role_of`. The only array holds the steps, whatever its name. Where no name
    tells the steps, each array without a role is a series. Arrays of "train", "valid" and "test" are parts.

    Args:
        origin: the file.
        arrays: its arrays; a list has an array per series.
        layout: the axes of the steps, such as "NCT"; "" for T, TC or NTC by their number.
        notes: sentences for the user, to which those on what was left out are added.

    Raises:
        ArgumentError: the layout names no axes.
        InputFileError: the arrays do not fit together; the message names an array and its shape.
    """
    check_layout(layout or "T")
    roles = {name: role_of(name) for name in arrays}
    steps_in = [role.part for role in roles.values() if role.role == "x"]
    parts = [part for part in PARTS if part in steps_in]
    groups = {part: _Part(origin, layout) for part in parts or [""]}
    taken = []
    for name, role in roles.items():
        if role.role and role.part in groups:
            groups[role.part].add(role.role, name, arrays[name])
            taken.append(name)
    if not steps_in:
        taken += _choose_steps(groups[""], {name: a for name, a in arrays.items() if name not in taken})
    left = [f"{name} with {_shape(arrays[name])}" for name in arrays if name not in taken]
    of_parts = f" of the parts {listed(parts)}" if parts else ""
    said = [f"Arrays whose names tell no role{of_parts} were left out: {listed(left)}."] if left else []
    sets = [_read(group) for group in groups.values()]
    names = [f"the part {part} of FILE {origin.name}" for part in parts]
    series = join_series(origin, sets, names, parts, parts) if parts else sets[0]
    return replace(series, notes=[*notes, *said, *series.notes])


def _shape(array: NDArray | list[NDArray]) -> str:
    return f"{len(array)} elements" if isinstance(array, list) else shape_of(array)


def _choose_steps(part: _Part, arrays: Arrays) -> list[str]:
    """Take the only array for the steps, or each for a series; return the names of those taken."""
    # Single numbers beside the series, such as a sampling rate, are none of them.
    steps = {
        name: array
        for name, array in arrays.items()
        if isinstance(array, list) or (array.ndim > 0 and array.dtype.kind not in "US")
    }
    if len(arrays) == 1:
        steps = arrays
    if not steps:
        has = listed([f"{name} with {_shape(a)}" for name, a in [*part.arrays.items(), *arrays.items()]])
        raise InputFileError(f"FILE {part.origin.name} has no array of steps, only {has or 'none'}; call the steps x.")
    if len(steps) == 1:
        part.add("x", *next(iter(steps.items())))
        return list(steps)
    sets = [name for name, array in steps.items() if isinstance(array, list) or array.ndim > 2]
    if sets:
        raise InputFileError(
            f"FILE {part.origin.name} holds {listed(steps)}, none with a name that tells its role, and {sets[0]}, with "
            f"{_shape(steps[sets[0]])}, is more than a single series; call the array of steps x."
        )
    part.add("x", listed(steps), [array for array in steps.values() if not isinstance(array, list)])
    if "ids" not in part.names:
        part.add("ids", "names", np.array(list(steps)))
    return list(steps)


def _read(part: _Part) -> SeriesSet:
    steps, where = part.arrays["x"], part.where("x")
    lengths, starts = part.vector("lengths"), part.vector("starts")
    bounds = [part.names[role] for role in ("lengths", "starts") if role in part.names]
    if len(bounds) > (0 if isinstance(steps, list) else 1):
        held = "each series is an array" if isinstance(steps, list) else "either tells where series end"
        raise InputFileError(f"FILE {part.origin.name} holds {listed(bounds)}, and {held}; save only one of them.")
    if isinstance(steps, list):
        laid = pile(steps, part.layout, where)
    elif lengths is not None:
        laid = cut(steps, lengths, part.layout, where, part.where("lengths"))
    elif starts is not None:
        laid = cut(steps, starts, part.layout, where, part.where("starts"), starts=True)
    else:
        laid = stack(steps, part.layout, where)
    label, at_steps = _labels(part, laid)
    tables, notes = laid.tables, laid.notes
    if laid.padded and at_steps is None:
        tables, padding = without_padding(tables)
        notes = [*notes, *padding]
    series = assemble(part.origin, tables, laid.whole, ids=_ids(part, len(tables)), label=label, notes=notes)
    return series if at_steps is None else replace(series, columns={**series.columns, LABEL: at_steps})


def _labels(part: _Part, laid: Stack) -> tuple[Column | None, Column | None]:
    """Return the label of each series, or else that of each step."""
    array = part.arrays.get("y")
    if array is None:
        return None, None
    where, lengths = part.where("y"), [len(table) for table in laid.tables]
    if isinstance(array, list):
        return _labels_of_list(array, lengths, where)
    if array.size == max(array.shape, default=1):
        vector = array.reshape(-1)
        if len(vector) == len(lengths):
            return column_in(vector, where), None
        if len(vector) == sum(lengths):
            return None, column_in(vector, where)
    elif array.ndim == 2 and laid.layout and array.shape == laid.shape("NT"):
        rows = arrange(array, laid.layout.replace("C", ""), where)[:, :, 0]
        return None, column_in(np.concatenate([row[:n] for row, n in zip(rows, lengths, strict=True)]), where)
    raise InputFileError(
        f"{where} has {shape_of(array)}, and there are {len(lengths)} series with {sum(lengths)} steps together; it "
        "must have a label per series or per step: of columns with a 1 for the class, save the argmax."
    )


def _labels_of_list(elements: list[NDArray], lengths: list[int], where: str) -> tuple[Column | None, Column | None]:
    if len(elements) != len(lengths):
        raise InputFileError(f"{where} has {len(elements)} elements for {len(lengths)} series; it must have as many.")
    vectors = [np.ravel(element) for element in elements]
    # A text without letters, which is a missing word, has no element.
    if all(len(vector) == 1 or (not len(vector) and vector.dtype.kind == "U") for vector in vectors):
        words = any(vector.dtype.kind == "U" for vector in vectors)
        values = [str(v[0]) if len(v) else "" for v in vectors] if words else [v[0] for v in vectors]
        return column_in(np.array(values), where), None
    for number, (vector, length) in enumerate(zip(vectors, lengths, strict=True)):
        if len(vector) != length:
            raise InputFileError(
                f"{where} has {len(vector)} labels in element {number}, counted from 0, whose series has {length} "
                "steps; it must have a label per series or per step."
            )
    return None, join_columns([column_in(v, where) for v in vectors], [where] * len(vectors), LABEL)


def _ids(part: _Part, count: int) -> list[Cell] | None:
    vector = part.vector("ids")
    if vector is None:
        return None
    where = part.where("ids")
    if len(vector) != count:
        raise InputFileError(f"{where} has {len(vector)} ids for {count} series; it must have one for each.")
    if vector.dtype.kind == "S":
        vector = decoded(vector, where)
    if vector.dtype.kind not in "iuU":
        raise InputFileError(f"{where} has the type {vector.dtype}; ids must be whole numbers or text.")
    ids: list[Cell] = vector.tolist()
    check_ids(where, ids)
    return ids
