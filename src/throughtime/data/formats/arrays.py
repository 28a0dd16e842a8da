"""NumPy's arrays of numbers, `.npy` and `.npz`."""

import io
import warnings
import zipfile
from collections.abc import Callable
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from throughtime.data.formats.base import LARGEST_RATIO, Format, Raw
from throughtime.data.formats.bundle import series_in
from throughtime.data.formats.tensors import check_kind
from throughtime.data.series import SeriesSet
from throughtime.errors import InputFileError
from throughtime.wording import listed, reason_of

Header = tuple[tuple[int, ...], bool, np.dtype]
"""Shape, whether the columns come first, and type of an array."""

_HEADERS: dict[tuple[int, int], Callable[[BinaryIO], Header]] = {
    (1, 0): npy.read_array_header_1_0,
    (2, 0): npy.read_array_header_2_0,
}
"""Readers of headers, by the version of the format; version 3 has records with names in Unicode alone."""


def read_arrays(raw: Raw, layout: str = "") -> SeriesSet:
    """Return the series of an `.npy` or `.npz` file.

    An array is [steps], [steps, columns] or [series, steps, columns]; see `series_in` for the names of several.
    Nothing is unpickled.

    Args:
        raw: the file.
        layout: the axes of the steps, such as "NCT"; "" for T, TC or NTC by their number.

    Raises:
        ArgumentError: the layout names no axes.
        InputFileError: the file is damaged, holds objects, or its arrays do not fit together.
    """
    content = raw.content()
    if not content.startswith(b"PK"):
        return series_in(raw.origin, {"": _read_array(content, f"The array of FILE {raw.path}")}, layout)
    try:
        arrays = _read_members(raw, content)
    except InputFileError:
        raise
    except Exception as error:  # damaged bytes raise nearly anything in zipfile
        raise InputFileError(f"FILE {raw.path} is a damaged or foreign archive: {reason_of(error)}.") from None
    return series_in(raw.origin, arrays, layout)


def _read_members(raw: Raw, content: bytes) -> dict[str, NDArray]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        others = [member.filename for member in members if not member.filename.endswith(".npy")]
        if others or not members:
            raise InputFileError(
                f"FILE {raw.path} is an archive with {listed(others[:3]) or 'nothing'} in it, and an .npz file holds "
                "arrays alone: unpack it, and name the files or their folder."
            )
        # The sizes are as the archive declares them; zipfile reads no more of a member than it declares.
        total = sum(member.file_size for member in members)
        if total > LARGEST_RATIO * max(raw.bytes, 1 << 20):
            largest = max(members, key=lambda member: member.file_size)
            raise InputFileError(
                f"FILE {raw.path} unfolds to {total:,} bytes, over {LARGEST_RATIO} times its size, most of them in "
                f"{largest.filename}, which no data do; unfold it by hand if it is meant."
            )
        names = [member.filename.removesuffix(".npy") for member in members]
        repeated = {name for name in names if names.count(name) > 1}
        if repeated:
            raise InputFileError(f"FILE {raw.path} holds {listed(sorted(repeated))} twice; save each array once.")
        return {
            name: _read_array(archive.read(member), f"The array {name} of FILE {raw.path}")
            for name, member in zip(names, members, strict=True)
        }


def _read_array(content: bytes, where: str) -> NDArray:
    handle = io.BytesIO(content)
    shape, by_column, dtype = _read_header(handle, where)
    if dtype.kind not in "US":
        check_kind(np.empty(0, dtype), where)
    needed, present = int(np.prod(shape, dtype=object)) * dtype.itemsize, len(content) - handle.tell()
    if needed != present or any(size < 0 for size in shape):
        fault = "it was cut off" if present < needed else "it holds more than an array"
        raise InputFileError(
            f"{where} has the shape {shape} of {dtype}, which takes {needed:,} bytes, and {present:,} "
            f"are there: {fault}."
        )
    return np.ndarray(shape, dtype, content, handle.tell(), order="F" if by_column else "C")


def _read_header(handle: BinaryIO, where: str) -> Header:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # on headers that Python 2 wrote
            reader = _HEADERS.get(npy.read_magic(handle))
            header = reader(handle) if reader else None
    except Exception as error:  # numpy falls back on Python's tokenizer, with errors of its own
        raise InputFileError(f"{where} has no header that can be read: {reason_of(error)}.") from None
    if header is None:
        raise InputFileError(f"{where} holds records; save each of their fields as an array of an .npz file.")
    return header


FORMAT = Format("numpy", (".npy", ".npz"), read_arrays, read_layout=read_arrays)
