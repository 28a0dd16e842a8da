"""Series in arrays, tensors and lists of the caller's."""

import hashlib
from collections.abc import Sequence
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from throughtime.data.formats.bundle import LABEL, series_in
from throughtime.data.formats.tensors import shape_of
from throughtime.data.series import Origin, SeriesSet
from throughtime.errors import ArgumentError, ArgumentTypeError

_WORDS = (str, bytes)


def is_array(source: object) -> TypeGuard[Any]:
    """Return whether data are an array, a tensor or a list.

    A data frame, which numpy would take for an array too, is none.
    """
    if isinstance(source, list | tuple):
        return True
    return hasattr(source, "__array__") and not is_frame(source)


def is_frame(source: object) -> bool:
    """Return whether data are a frame, by the name of its columns."""
    return hasattr(type(source), "columns")  # of the type, as a lazy frame would begin to compute its own


def series_of_arrays(
    source: Any, labels: Any = None, lengths: Any = None, ids: Any = None, layout: str = ""
) -> tuple[SeriesSet, str]:
    """Return the series of arrays, and the name of the column of labels per step.

    Args:
        source: an array or tensor, or a list with an array for each series.
        labels: a class or a number per series or per step; None: none.
        lengths, ids: of the series; None: none.
        layout: the axes of the steps, such as "NCT".

    Returns:
        The series; the name is "" where labels are of series, or there are none.

    Raises:
        ArgumentError: an array of two axes without a layout, which could be a series or many, or an empty list.
        ArgumentTypeError: an argument is no array of numbers.
        InputFileError: the arrays do not fit together.
    """
    steps = _steps(source)
    if isinstance(steps, np.ndarray) and steps.ndim == 2 and not layout and lengths is None:
        rows, columns = steps.shape
        raise ArgumentError(
            "layout",
            f"is missing for an array with {shape_of(steps)}",
            "its two axes could be a series of steps and columns, or series of steps",
            f"give TC for a series of {rows} steps, or NT for {rows} series of {columns} steps",
        )
    given: dict[str, NDArray | list[NDArray]] = {"x": steps}
    if labels is not None:
        given["labels"] = _labels(labels)
    if lengths is not None:
        given["lengths"] = _vector("lengths", lengths)
    if ids is not None:
        given["ids"] = _vector("ids", ids)
    series = series_in(_origin(source, given), given, layout)
    return series, LABEL if labels is not None and series.label is None else ""


def _origin(source: Any, arrays: dict[str, NDArray | list[NDArray]]) -> Origin:
    """Return where arrays came from: their kind, their size and a digest of their content."""
    digest, size = hashlib.sha256(), 0
    for name, value in arrays.items():
        for array in value if isinstance(value, list) else [value]:
            digest.update(repr((name, array.dtype.str, array.shape)).encode())
            digest.update(np.ascontiguousarray(array).tobytes())
            size += array.nbytes
    kind = type(source)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__.split('.')[0]}.{kind.__name__}"
    return Origin(name, size, digest.hexdigest())


def _steps(source: Any) -> NDArray | list[NDArray]:
    if not isinstance(source, list | tuple):
        return _array("source", source)
    if not source:
        raise ArgumentError("source", "is an empty list", "it must hold an array for each series")
    if all(isinstance(entry, int | float) for entry in source):
        return _array("source", source)
    return [_array(f"source[{number}]", entry) for number, entry in enumerate(source)]


def _labels(labels: Any) -> NDArray | list[NDArray]:
    """Return labels as an array, or as an array for each series."""
    nested = isinstance(labels, list | tuple) and any(_is_nested(entry) for entry in labels)
    if nested:
        return [_vector(f"labels[{number}]", entry) for number, entry in enumerate(labels)]
    return _vector("labels", labels)


def _is_nested(entry: Any) -> bool:
    return isinstance(entry, list | tuple) or (hasattr(entry, "__array__") and np.ndim(entry) > 0)


def _vector(name: str, values: Any) -> NDArray:
    """Return an array of numbers or of words, in which a missing word is "" and a missing number NaN."""
    array = _array(name, values)
    if array.dtype.kind != "O":
        return array
    cells = [None if cell is None or cell != cell else cell for cell in array.ravel().tolist()]
    kinds = {isinstance(cell, str) for cell in cells if cell is not None}
    if kinds == {True}:
        return np.array(["" if cell is None else cell for cell in cells]).reshape(array.shape)
    if kinds == {False} and all(cell is None or isinstance(cell, int | float) for cell in cells):
        return np.array([np.nan if cell is None else cell for cell in cells], dtype=np.float64).reshape(array.shape)
    raise ArgumentTypeError(name, "holds other objects than numbers and text", "it must hold either numbers or text")


def _array(name: str, values: Any) -> NDArray:
    if is_frame(values):
        came = f"is a data frame, {type(values).__name__}"
        raise ArgumentTypeError(name, came, "a list has an array for each series", "join frames into one, with an `id`")
    if hasattr(values, "detach"):  # a tensor, which may lie on another device and have a gradient
        values = values.detach().cpu()
        values = values.float() if str(values.dtype) == "torch.bfloat16" else values  # which numpy has not
    if isinstance(values, Sequence) and not isinstance(values, _WORDS):
        kinds = {isinstance(entry, _WORDS) for entry in values if entry is not None}
        if len(kinds) > 1 or None in values:
            return np.array([*values, None], dtype=object)[:-1]  # numpy would make text of numbers beside text
    try:
        return np.asarray(values)
    except (TypeError, ValueError, RuntimeError):
        came = f"is of type {type(values).__name__}"
        raise ArgumentTypeError(
            name, came, "it must be an array of numbers with the same size along each axis"
        ) from None
