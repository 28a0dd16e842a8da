"""MATLAB's `.mat` files of numbers and cell arrays."""

import io
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from throughtime.data.formats.base import LARGEST_RATIO, Format, Raw
from throughtime.data.formats.bundle import series_in
from throughtime.data.formats.roles import role_of
from throughtime.data.formats.tensors import LARGEST_WHOLE
from throughtime.data.series import SeriesSet
from throughtime.errors import InputFileError, UnsupportedError
from throughtime.wording import reason_of

HDF5 = b"\x89HDF\r\n\x1a\n"
"""First bytes of an HDF5 file, which in MATLAB's own stand after 512 bytes of its header."""


def read_mat(raw: Raw, layout: str = "") -> SeriesSet:
    """Return the series of a `.mat` file.

    A cell array holds a series in each cell; see `series_in` for the names of several arrays.

    Args:
        raw: the file.
        layout: the axes of the steps, such as "NCT", or "CT" within cells; "" for T, TC or NTC by their number.

    Raises:
        ArgumentError: the layout names no axes.
        InputFileError: the file is damaged, of version 7.3, or its arrays do not fit together.
        UnsupportedError: scipy is not installed.
    """
    content = raw.content()
    if content.startswith(b"MATLAB 7.3") or HDF5 in (content[:8], content[512:520]):
        raise InputFileError(
            f"FILE {raw.path} is of MATLAB's version 7.3, an HDF5 file, which is not read: save it again in MATLAB "
            "with save(name, '-v7'), or as .npz with h5py and numpy.savez."
        )
    arrays, notes = {}, []
    for name, value in _load(raw, content).items():
        array, reason = _plain(value)
        if array is not None:
            arrays[name], turned = _as_vectors(array, layout)
            notes += [f"The cells of {name} are rows, and were read as series of a single column."] * turned
            continue
        if role_of(name).role:
            raise InputFileError(f"The array {name} of FILE {raw.path} is {reason}.")
        notes.append(f"{name} was left out: it is {reason}.")
    if not arrays:
        raise InputFileError(f"FILE {raw.path} holds no arrays of numbers. {' '.join(notes)}".strip())
    return series_in(raw.origin, arrays, layout, notes)


def _load(raw: Raw, content: bytes) -> dict[str, Any]:
    """Return the variables of a file by name."""
    try:
        from scipy.io import loadmat, whosmat
        from scipy.io.matlab import MatReadWarning
    except ImportError:
        raise UnsupportedError(
            f"FILE {raw.path} is a .mat file and needs scipy, which is not installed: pip install 'throughtime[data]'."
        ) from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", MatReadWarning)  # two variables of a name, of which one would be lost
            declared = sum(int(np.prod(shape, dtype=object)) for _, shape, _ in whosmat(io.BytesIO(content)))
            if declared <= LARGEST_RATIO * max(raw.bytes, 1 << 20):
                loaded = loadmat(io.BytesIO(content))
                return {name: value for name, value in loaded.items() if not name.startswith("__")}
    except Exception as error:  # damaged bytes raise nearly anything in scipy's reader
        raise InputFileError(f"FILE {raw.path} is a damaged .mat file, or none: {reason_of(error)}.") from None
    raise InputFileError(
        f"FILE {raw.path} declares {declared:,} elements, over {LARGEST_RATIO} times its size, which no data do."
    )


def _plain(value: Any) -> tuple[NDArray | list[NDArray] | None, str]:
    """Return a variable as numbers, text or a list of cells; else None, and what it is with the way out."""
    if not isinstance(value, np.ndarray):
        return None, "a sparse matrix; save full(...) of it"
    if value.dtype.names:
        return None, "a structure or an object; save its fields as variables, with save(name, '-struct', 's')"
    if value.dtype.kind == "O":
        cells = [_plain(cell)[0] for cell in value.ravel(order="F")]
        arrays = [cell for cell in cells if isinstance(cell, np.ndarray)]
        if len(arrays) < len(cells):
            return None, "a cell array whose cells are no arrays of numbers; save an array [steps, columns] in each"
        return arrays, ""
    return _whole(np.asarray(value)), ""


def _as_vectors(array: NDArray | list[NDArray], layout: str) -> tuple[NDArray | list[NDArray], bool]:
    """Return single numbers without axes, rows in cells as vectors, and whether there are such rows.

    MATLAB has nothing below two axes: a row is its way to write a vector. A layout tells the axes of cells itself.
    """
    if not isinstance(array, list):
        return (array.reshape(()) if array.shape == (1, 1) else array), False
    rows = not layout and all(cell.ndim == 2 and len(cell) == 1 for cell in array)
    if not rows or all(cell.size == 1 for cell in array):
        return array, False
    return [cell.ravel() for cell in array], True


def _whole(array: NDArray) -> NDArray:
    """Return an array as whole numbers where it holds only such: MATLAB's numbers are floats, classes too."""
    if array.dtype.kind != "f" or not array.size:
        return array
    with np.errstate(invalid="ignore"):
        fits = np.isfinite(array).all() and (array == np.floor(array)).all() and np.abs(array).max() <= LARGEST_WHOLE
    return array.astype(np.int64) if fits else array


FORMAT = Format("mat", (".mat",), read_mat, ("scipy",), read_mat)
