"""Data frames and tables of Arrow as rows."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from throughtime.data.columns import ABSENT, EXACT, Column, Numbers, Words, by_first_row, joined
from throughtime.data.extras import extra
from throughtime.data.formats.base import Raw
from throughtime.data.notes import missing_notes, named
from throughtime.data.series import Origin, Rows
from throughtime.errors import ArgumentTypeError, InputFileError
from throughtime.wording import reason_of

_INDEX = "__index_level_0__"
"""Name that pandas gives to an index without a name."""


def rows_of_frame(frame: Any) -> Rows:
    """Return the rows of a data frame of pandas, polars, pyarrow and others.

    Args:
        frame: anything with `__arrow_c_stream__`, or that narwhals takes. A lazy frame is collected.

    Raises:
        ArgumentTypeError: `frame` is no data frame.
        InputFileError: a column holds what is neither numbers, words nor times.
        UnsupportedError: pyarrow or narwhals is not installed.
    """
    table = _table(frame)
    name = f"{type(frame).__module__.split('.')[0]}.{type(frame).__name__}"
    rows = rows_of_table(table, Origin(name, table.nbytes, "", counts="row"))
    digest = hashlib.sha256()
    for name, column in rows.columns.items():
        numbers, words = (column.values, ()) if isinstance(column, Numbers) else (column.numbers, column.levels)
        digest.update(repr((name, words)).encode())
        digest.update(numbers.tobytes())
    return replace(rows, origin=replace(rows.origin, sha256=digest.hexdigest()))


def frame_of(rows: Sequence[Mapping[str, Any]], like: Any) -> Any:
    """Return rows as a data frame of the same library as another.

    Args:
        rows: column → value, all with the same columns.
        like: a data frame; one of a library that narwhals does not make frames of gives a pyarrow.Table.
    """
    columns = {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}
    narwhals = extra("narwhals", "A data frame")
    wrapped = narwhals.from_native(like, pass_through=True)
    kind = getattr(wrapped, "implementation", narwhals.Implementation.PYARROW)
    eager = kind.is_pandas_like() or kind.is_polars()
    return narwhals.from_dict(columns, backend=kind if eager else narwhals.Implementation.PYARROW).to_native()


def rows_of_table(table: Any, origin: Origin) -> Rows:
    """Return the rows of a pyarrow.Table.

    Numbers stay numbers, text and categories are words, true and false are 1 and 0. Times become words in the form of
    RFC 9557, with the name of their zone. An index of pandas is a column, except whole numbers without a name.

    Args:
        table: the table.
        origin: where it comes from.

    Raises:
        InputFileError: the table has no rows or two columns of a name, or a column holds what is neither numbers,
            words nor times.
    """
    arrow = extra("pyarrow", "A table").types
    # Such an index numbers the rows of a frame, and a part of the frame keeps the numbers of the whole.
    numbered = _INDEX in table.column_names and arrow.is_integer(table.schema.field(_INDEX).type)
    if numbered:
        table = table.drop_columns([_INDEX])
    names = [("index" if name == _INDEX and "index" not in table.column_names else name) for name in table.column_names]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputFileError(
            f"FILE {origin.name} has {names.count(twice[0])} columns {twice[0]!r}: rename all but one."
        )
    if not table.num_rows:
        raise InputFileError(f"FILE {origin.name} has no rows; give a table with rows.")
    columns = {name: _column(chunks, name, origin) for name, chunks in zip(names, table.columns, strict=True)}
    types = dict(zip(names, table.schema.types, strict=True))
    truths = [name for name, kind in types.items() if arrow.is_boolean(kind)]
    large = [name for name, kind in types.items() if arrow.is_integer(kind) and isinstance(columns[name], Words)]
    notes = [f"True counts as 1 and false as 0 in {named(truths)}."] if truths else []
    notes += ["The index of whole numbers has no name and was left out; name it to keep it."] if numbered else []
    notes += [f"Whole numbers beyond 2⁵³ are read as words in {named(large)}."] if large else []
    lines = np.arange(1, table.num_rows + 1)
    return Rows(origin, columns, table.num_rows, lines, [*notes, *missing_notes(columns)])


def rows_of_arrow_file(raw: Raw, kind: str, read: Callable[[Any], Any]) -> Rows:
    """Return the rows of a file that pyarrow reads.

    Args:
        raw: the file.
        kind: its format, for messages.
        read: returns the pyarrow.Table of the file, whose bytes it gets as pyarrow.NativeFile.

    Raises:
        InputFileError: the file is cut off or damaged, or `rows_of_table` refuses the table.
    """
    arrow = extra("pyarrow", f"A {kind} file")
    try:
        with arrow.BufferReader(raw.content()) if raw.compressed else arrow.OSFile(str(raw.path)) as source:
            table = read(source)
    except (arrow.ArrowException, OSError) as error:
        said = f"({reason_of(error)}): write the file again"
        raise InputFileError(
            f"FILE {raw.path} is no whole {kind} file, but cut off, damaged or another {said}."
        ) from None
    return rows_of_table(table, replace(raw.origin, counts="row"))


def _table(frame: Any) -> Any:
    arrow = extra("pyarrow", "A data frame")
    try:
        if hasattr(frame, "__arrow_c_stream__"):
            return arrow.table(frame)
        narwhals = extra("narwhals", "A data frame")
        wrapped = narwhals.from_native(frame)
        if isinstance(wrapped, narwhals.LazyFrame):
            wrapped = wrapped.collect()
        return wrapped.to_arrow()
    except (arrow.ArrowException, ValueError) as error:
        said = f"({reason_of(error)}): give each column a type and a name of its own"
        raise InputFileError(f"FILE {type(frame).__name__} holds a column that Arrow does not take {said}.") from None
    except (TypeError, AttributeError):
        came = f"is of type {type(frame).__name__}"
        raise ArgumentTypeError("frame", came, "it must be a data frame, such as pandas' or polars'") from None


def _column(chunks: Any, name: str, origin: Origin) -> Column:
    """Return a column of a pyarrow.ChunkedArray."""
    arrow, compute = extra("pyarrow", "A table"), extra("pyarrow.compute", "A table")
    types = arrow.types
    if types.is_dictionary(chunks.type):
        return _categories(chunks, name, origin)
    if types.is_boolean(chunks.type) or types.is_null(chunks.type):
        return Numbers(_floats(chunks.cast(arrow.int8())), whole=True)
    if types.is_integer(chunks.type):
        bounds = compute.min_max(chunks)
        if all(-EXACT <= (bound.as_py() or 0) <= EXACT for bound in bounds.values()):
            return Numbers(_floats(chunks), whole=True)
        return _words(chunks.cast(arrow.string()))
    if types.is_floating(chunks.type) or types.is_decimal(chunks.type):
        return Numbers(_floats(chunks))
    if types.is_string(chunks.type) or types.is_large_string(chunks.type) or types.is_string_view(chunks.type):
        return _words(chunks.cast(arrow.large_string()))
    if types.is_date(chunks.type) or types.is_timestamp(chunks.type):
        return _times(chunks)
    raise InputFileError(
        f"FILE {origin.name}, column {name!r}, holds {chunks.type}; a column must hold numbers, words or times: "
        "spread it over such columns, or leave it out."
    )


def _categories(chunks: Any, name: str, origin: Origin) -> Column:
    """Return a column of categories, each chunk of which may have others."""
    pieces: list[Column] = []
    for chunk in chunks.chunks:
        values = _column(extra("pyarrow", "A table").chunked_array([chunk.dictionary]), name, origin)
        # A null, -1, leads to the last place, which is missing.
        if isinstance(values, Numbers):
            pieces.append(Numbers(np.array([*values.values, np.nan])[_indices(chunk)], values.whole))
        else:
            numbers = np.array([*values.numbers, ABSENT], dtype=np.int32)
            pieces.append(Words(numbers[_indices(chunk)], values.levels))
    column = joined(pieces)
    return by_first_row(column) if isinstance(column, Words) else column


def _floats(chunks: Any) -> NDArray[np.float64]:
    arrow = extra("pyarrow", "A table")
    return chunks.cast(arrow.float64(), safe=False).to_numpy().astype(np.float64)


def _words(chunks: Any) -> Words:
    encoded = chunks.dictionary_encode().combine_chunks()
    return Words(_indices(encoded), tuple(encoded.dictionary.to_pylist()))


def _indices(encoded: Any) -> NDArray[np.int32]:
    indices = encoded.indices.cast(extra("pyarrow", "A table").int64())
    return indices.fill_null(ABSENT).to_numpy(zero_copy_only=False).astype(np.int32)


def _times(chunks: Any) -> Words:
    """Return times as words: dates, or the instant in UTC with the name of the zone."""
    arrow = extra("pyarrow", "A table")
    zone = getattr(chunks.type, "tz", None)
    unit = "D" if arrow.types.is_date(chunks.type) else chunks.type.unit
    encoded = chunks.cast(arrow.date32()) if unit == "D" else chunks
    encoded = encoded.dictionary_encode().combine_chunks()
    instants = encoded.dictionary.to_numpy(zero_copy_only=False).astype(f"datetime64[{unit}]")
    whole = unit == "D" or bool((instants == instants.astype("datetime64[s]")).all())
    texts = np.datetime_as_string(instants, unit=unit if not whole or unit == "D" else "s")
    ends = "" if zone is None else "Z" if zone == "UTC" else f"Z[{zone}]"
    return Words(_indices(encoded), tuple(f"{text}{ends}" for text in texts.tolist()))
