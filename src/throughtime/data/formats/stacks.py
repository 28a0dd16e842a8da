"""Series out of an array of steps: stacked, end to end, or an array each."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from throughtime.data.formats.tensors import (
    DEFAULT_LAYOUTS,
    LARGEST_WHOLE,
    arrange,
    is_whole_kind,
    numbers_in,
    shape_of,
)
from throughtime.errors import InputFileError


@dataclass(frozen=True)
class Stack:
    """Steps of series.

    Attributes:
        tables: [steps, columns] of each series.
        whole: [columns] whether the numbers are whole by their type.
        layout: the axes of the array; "" where it has no axis of series.
        span: the steps that the array has for each series, with padding.
        padded: whether short series may end in missing steps.
        notes: sentences for the user.
    """

    tables: list[NDArray[np.float64]]
    whole: list[bool]
    layout: str = ""
    span: int = 0
    padded: bool = False
    notes: list[str] = field(default_factory=list)

    def shape(self, axes: str) -> tuple[int, ...]:
        """Return the shape of an array of these series, with the layout's axes."""
        sizes = {"N": len(self.tables), "T": self.span, "C": len(self.whole)}
        return tuple(sizes[axis] for axis in self.layout if axis in axes)


def stack(array: NDArray, layout: str, where: str) -> Stack:
    """Return the series of an array. Without an axis of series it is a single series."""
    series = arrange(numbers_in(array, where), layout, where)
    whole = [is_whole_kind(array)] * series.shape[2]
    axes = layout or DEFAULT_LAYOUTS[array.ndim]
    if "N" in axes:
        return Stack(list(series), whole, axes, series.shape[1], padded=True)
    notes = []
    if array.ndim == 2 and not layout:
        rows, columns = array.shape
        notes.append(
            f"{where} has {shape_of(array)}, and was read as a series of {rows} steps and {columns} columns; the "
            f"layout NT reads {rows} series of {columns} steps."
        )
    return Stack(list(series), whole, notes=notes)


def cut(array: NDArray, counts: NDArray, layout: str, where: str, where_counts: str, starts: bool = False) -> Stack:
    """Return the series of an array by their lengths, or by their first steps.

    An array of series × steps is cut to the lengths; an array of steps alone holds the series end to end.

    Args:
        array: the steps.
        counts: [series] lengths or first steps; first steps may end with the number of all steps.
        layout: the axes; "" for T, TC or NTC by their number, or NT where the lengths show it.
        where: the array and its file, for messages.
        where_counts: likewise of the counts.
        starts: whether the counts are first steps.

    Raises:
        InputFileError: the counts do not fit the array.
    """
    numbers = numbers_in(array, where)
    whole_numbers = _whole_numbers(counts, where_counts)
    end_to_end = array.ndim < 3 and (starts or int(whole_numbers.sum()) == len(array))
    axes = layout or ("NT" if array.ndim == 2 and not end_to_end and len(counts) == len(array) else "")
    series = arrange(numbers, axes, where)
    whole = [is_whole_kind(array)] * series.shape[2]
    axes = axes or DEFAULT_LAYOUTS[array.ndim]
    if starts:
        whole_numbers = _lengths_of(whole_numbers, series, axes, where, where_counts)
    if "N" not in axes:
        _check_sum(whole_numbers, series.shape[1], where_counts, where)
        return Stack(np.split(series[0], np.cumsum(whole_numbers)[:-1]), whole)
    if len(whole_numbers) != len(series):
        raise InputFileError(
            f"{where_counts} has {len(whole_numbers)} lengths, and {_within(where)} has {len(series)} "
            f"series with {shape_of(array)}; it must have one for each."
        )
    if whole_numbers.max() > series.shape[1]:
        at = int(whole_numbers.argmax())
        raise InputFileError(
            f"{where_counts} gives the series {at}, counted from 0, {whole_numbers[at]} steps, and there are only "
            f"{series.shape[1]}: {_within(where)} has {shape_of(array)}."
        )
    tables = [table[:length] for table, length in zip(series, whole_numbers.tolist(), strict=True)]
    return Stack(tables, whole, axes, series.shape[1])


def _within(where: str) -> str:
    """Return the name of an array for the middle of a sentence."""
    return where[0].lower() + where[1:]


def _whole_numbers(counts: NDArray, where: str) -> NDArray[np.int64]:
    values = numbers_in(counts, where)
    odd = values[~((values >= 0) & (values <= LARGEST_WHOLE) & (values == np.floor(values)))]
    if len(odd) or not len(values):
        said = f"the value {odd[0]:g}" if len(odd) else "no value"
        raise InputFileError(f"{where} has {said}; it must have whole numbers of at least 0.")
    return values.astype(np.int64)


def _lengths_of(
    starts: NDArray[np.int64], series: NDArray[np.float64], axes: str, where: str, where_starts: str
) -> NDArray[np.int64]:
    """Return the lengths between first steps, which the number of all steps may end."""
    steps = series.shape[1]
    closed = starts if len(starts) > 1 and starts[-1] == steps else np.append(starts, steps)
    if "N" in axes or closed[0] != 0 or (np.diff(closed) < 0).any():
        raise InputFileError(
            f"{where_starts} does not ascend from 0 to at most the {steps} steps of series that lie end to end: "
            f"{_within(where)} has {shape_of(series[0])} as steps and columns."
        )
    return np.diff(closed)


def _check_sum(lengths: NDArray[np.int64], steps: int, where_lengths: str, where: str) -> None:
    if lengths.sum() != steps:
        raise InputFileError(
            f"{where_lengths} adds up to {lengths.sum()} steps, and {_within(where)} has {steps}; both "
            "must be the same."
        )


def pile(arrays: Sequence[NDArray], layout: str, where: str) -> Stack:
    """Return the series of a list of arrays, one each.

    An array is [steps], [steps, columns] or [columns, steps].

    Args:
        arrays: the arrays.
        layout: "TC" or "CT"; "" for the axis that has the same size in all arrays as that of the columns.
        where: the list and its file, for messages.

    Raises:
        InputFileError: the numbers of columns differ, or an array has more than two axes.
    """
    if "N" in layout or (layout and len(layout) < 2 and any(a.ndim > 1 for a in arrays)):
        raise InputFileError(f"{where} has an array per series, and the layout is {layout}; it must be TC or CT.")
    places = [f"{where}, in the series {number}, counted from 0," for number in range(len(arrays))]
    tables = [_table(numbers_in(a, place), layout, place) for a, place in zip(arrays, places, strict=True)]
    full = [(number, table.shape) for number, table in enumerate(tables) if table.size]
    if not full:
        raise InputFileError(f"{where} has {len(arrays)} series without a step.")
    heights, widths = {shape[0] for _, shape in full}, {shape[1] for _, shape in full}
    upright = layout != "CT" if layout else len(widths) == 1
    constant = widths if upright else heights
    if len(constant) > 1:
        (first, shape), (other, different) = _two_different(full, 1 if upright else 0)
        raise InputFileError(
            f"{where} has {shape} in the series {first} and {different} in the series {other}, counted from 0; all "
            "must have the same number of columns."
        )
    notes = [] if layout or upright else [f"{where} holds series as columns × steps; they were turned."]
    whole = [all(is_whole_kind(a) for a in arrays)] * constant.pop()
    return Stack([table if upright else table.T for table in tables], whole, notes=notes)


def _table(array: NDArray[np.float64], layout: str, where: str) -> NDArray[np.float64]:
    if array.ndim > 2 or array.ndim == 0:
        raise InputFileError(f"{where} has {shape_of(array)}; it must have the axes of steps, or of steps × columns.")
    if not array.size:
        return np.zeros((0, 0))
    return np.expand_dims(array, 0 if layout == "CT" else 1) if array.ndim == 1 else array


def _two_different(
    shapes: list[tuple[int, tuple[int, ...]]], axis: int
) -> tuple[tuple[int, tuple[int, ...]], tuple[int, tuple[int, ...]]]:
    return shapes[0], next(other for other in shapes if other[1][axis] != shapes[0][1][axis])
