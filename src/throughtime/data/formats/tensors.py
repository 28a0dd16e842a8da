"""Arrays of numbers from files: their types, their axes, their values."""

import numpy as np
from numpy.typing import NDArray

from throughtime.data.columns import Column, Numbers
from throughtime.data.formats.assembly import words_of
from throughtime.errors import ArgumentError, InputFileError

LARGEST_WHOLE = 2**53
"""Whole numbers up to this one are exact in 64-bit floats."""

DEFAULT_LAYOUTS = {1: "T", 2: "TC", 3: "NTC"}
"""Order of axes by their number: N counts series, T steps, C columns."""

_KINDS = {
    "O": "Python objects, which only unpickling reads, and that can run any code: save numbers, a ragged list as an "
    "array per series",
    "c": "complex numbers; save their real and imaginary parts as columns",
    "U": "text; steps must be numbers",
    "S": "text; steps must be numbers",
    "M": "dates; steps must be numbers",
    "m": "spans of time; steps must be numbers",
    "V": "records; save each of their fields as an array of an .npz file",
}


def check_layout(layout: str) -> None:
    """Raise `ArgumentError` unless a layout names steps, and each axis once."""
    if not (set(layout) <= set("NTC") and len(set(layout)) == len(layout) and "T" in layout):
        raise ArgumentError(
            "layout",
            f"is {layout}",
            "it must name each axis once, T for steps, and N for series and C for columns where there are such axes",
            "give for example NTC, NCT or TNC",
        )


def shape_of(array: NDArray) -> str:
    """Return the shape of an array as messages show it."""
    return f"the shape {tuple(int(size) for size in array.shape)}"


def check_kind(array: NDArray, where: str) -> None:
    """Raise `InputFileError` unless an array holds numbers or truth values.

    Args:
        array: the array.
        where: the array and its file, for messages: "The array x of FILE a.npz".
    """
    if array.dtype.kind not in "biuf":
        raise InputFileError(f"{where} holds {_KINDS.get(array.dtype.kind, str(array.dtype))}.")


def numbers_in(array: NDArray, where: str) -> NDArray[np.float64]:
    """Return the numbers of an array in its shape; NaN is a missing value.

    Raises:
        InputFileError: it holds something else, an infinity, or a whole number too large for a 64-bit float; the
            message names the place.
    """
    check_kind(array, where)
    values = array.astype(np.float64)
    _refuse_first(np.isinf(values), array, where, "it must be finite: save NaN where a value is missing")
    if array.dtype.kind in "iu" and array.dtype.itemsize == 8:
        large = (array > LARGEST_WHOLE) | (array < -LARGEST_WHOLE)
        _refuse_first(large, array, where, "it must be at most 2**53 in size, to be exact as a 64-bit float")
    return values


def _refuse_first(wrong: NDArray[np.bool_], array: NDArray, where: str, allowed: str) -> None:
    if wrong.any():
        place = tuple(int(at) for at in np.argwhere(wrong)[0])
        raise InputFileError(f"{where} is {array[place]} at {list(place)}, counted from 0; {allowed}.")


def is_whole_kind(array: NDArray) -> bool:
    """Return whether an array holds whole numbers by its type."""
    return array.dtype.kind in "biu"


def arrange(array: NDArray, layout: str, where: str) -> NDArray:
    """Return an array as [series, steps, columns].

    Args:
        array: the array, of one to three axes.
        layout: its axes, such as "NCT"; "" for T, TC or NTC by their number.
        where: the array and its file, for messages.

    Raises:
        InputFileError: it has other axes, or no element.
    """
    axes = layout or DEFAULT_LAYOUTS.get(array.ndim, "")
    if len(axes) != array.ndim or not axes:
        said = (
            f"that the layout {layout} has" if layout else "of steps, of steps × columns or of series × steps × columns"
        )
        raise InputFileError(f"{where} has {shape_of(array)}; it must have the axes {said}.")
    if not array.size:
        raise InputFileError(f"{where} has {shape_of(array)}, and so no values.")
    for at, axis in enumerate("NTC"):
        if axis not in axes:
            array, axes = np.expand_dims(array, at), axes[:at] + axis + axes[at:]
        elif axes.index(axis) != at:
            array = np.moveaxis(array, axes.index(axis), at)
            rest = axes.replace(axis, "")
            axes = rest[:at] + axis + rest[at:]
    return array


def column_in(array: NDArray, where: str) -> Column:
    """Return the column [elements] of an array with one axis.

    Text makes a column of words, in which "" is missing.
    """
    if array.dtype.kind == "S":
        array = decoded(array, where)
    if array.dtype.kind == "U":
        return words_of([None if word == "" else word for word in array.tolist()])
    return Numbers(numbers_in(array, where), is_whole_kind(array))


def decoded(array: NDArray, where: str) -> NDArray[np.str_]:
    """Return the text of an array of bytes. Raises `InputFileError` where it is not in UTF-8."""
    try:
        return np.char.decode(array, "utf-8")
    except UnicodeDecodeError:
        raise InputFileError(f"{where} holds bytes that are not text in UTF-8; save it as text.") from None
