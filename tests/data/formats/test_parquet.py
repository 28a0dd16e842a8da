import gzip
import sys

import pytest

from throughtime.data.formats import parquet
from throughtime.data.formats.base import Raw
from throughtime.errors import InputFileError, UnsupportedError

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")


@pytest.fixture
def path(tmp_path):
    import pyarrow.parquet

    path = tmp_path / "a.parquet"
    table = pa.table({"id": ["a", None, "b"], "x": [1.5, None, float("nan")], "n": [3, 4, 5]})
    pyarrow.parquet.write_table(table, path, row_group_size=2)
    return path


def cells(rows):
    return {name: [column.cell(row) for row in range(rows.rows)] for name, column in rows.columns.items()}


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_file_comes_back(path, compress):
    path.write_bytes(compress(path.read_bytes()))
    rows = parquet.read(Raw(path))
    assert cells(rows) == {"id": ["a", None, "b"], "x": [1.5, None, None], "n": [3, 4, 5]}
    assert rows.origin.name == str(path) and rows.origin.counts == "row" and rows.lines.tolist() == [1, 2, 3]


@pytest.mark.parametrize("keep", [1, 7, 100, -30, -1])
def test_a_file_that_is_cut_off_is_refused(path, keep):
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(
        InputFileError, match="a.parquet is no whole Parquet file, but cut off, damaged or another"
    ) as it:
        parquet.read(Raw(path))
    assert "\n" not in str(it.value)


def test_a_damaged_page_is_refused(path):
    content = bytearray(path.read_bytes())
    content[4:40] = b"\xff" * 36
    path.write_bytes(content)
    with pytest.raises(InputFileError, match="is no whole Parquet file"):
        parquet.read(Raw(path))


def test_without_pyarrow_the_extra_is_named(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(UnsupportedError, match=r"A Parquet file needs pyarrow, .*: pip install 'throughtime\[data\]'"):
        parquet.read(Raw(path))
