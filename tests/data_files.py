"""Data files for tests: small ones made on the spot, and the public ones that lie beside the repository."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from throughtime.data.formats.base import Raw

SHARED = Path(__file__).parents[2] / "shared" / "data"


def shared(name: str) -> Path:
    """The path of a public data file; the test is skipped where it is absent."""
    path = SHARED / name
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    return path


def raw_of(folder: Path, name: str, content: str | bytes) -> Raw:
    """A file of some content."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return Raw(path)


NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), st.integers(-1000, 1000).map(float), st.just(float("nan"))
)


@st.composite
def series_lists(draw: st.DrawFn, least_steps: int = 1, most_columns: int = 3, padded: bool = False):
    """Lists of series [steps, columns] of the same columns; `padded`: none ends in a missing step."""
    columns = draw(st.integers(1, most_columns))
    lengths = draw(st.lists(st.integers(least_steps, 5), min_size=1, max_size=4))
    tables = []
    for length in lengths:
        rows = draw(st.lists(st.lists(NUMBERS, min_size=columns, max_size=columns), min_size=length, max_size=length))
        table = np.array(rows, dtype=np.float64).reshape(length, columns)
        if padded and length:
            table[-1, 0] = draw(st.integers(-9, 9))
        tables.append(table)
    return tables


def tables_in(series) -> list[np.ndarray]:
    """The series of a set, [steps, columns] each."""
    steps = np.stack([column.values for column in series.columns.values()], axis=1)
    return np.split(steps, series.starts[1:-1])


def assert_same(series, tables) -> None:
    """Assert that a set holds these series."""
    read = tables_in(series)
    assert len(read) == len(tables)
    for ours, theirs in zip(read, tables, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def text_of(value: float) -> str:
    """A number as a file has it; a missing one is "?"."""
    return "?" if np.isnan(value) else repr(float(value))
