import gzip

import pytest

from throughtime.data.formats import feather
from throughtime.data.formats.base import Raw
from throughtime.errors import InputFileError

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")

TABLE = pa.table({"id": ["a", None, "b"], "x": [1.5, None, float("nan")], "n": [3, 4, 5]})


def write_feather(path):
    from pyarrow.feather import write_feather

    write_feather(TABLE, path)


def write_file(path):
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, TABLE.schema) as writer:
        writer.write_table(TABLE, max_chunksize=2)


def write_stream(path):
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, TABLE.schema) as writer:
        writer.write_table(TABLE, max_chunksize=2)


writers = pytest.mark.parametrize("write", [write_feather, write_file, write_stream])


@writers
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_file_comes_back(tmp_path, write, compress):
    path = tmp_path / "a.arrow"
    write(path)
    path.write_bytes(compress(path.read_bytes()))
    rows = feather.read(Raw(path))
    cells = {name: [column.cell(row) for row in range(rows.rows)] for name, column in rows.columns.items()}
    assert cells == {"id": ["a", None, "b"], "x": [1.5, None, None], "n": [3, 4, 5]}


@writers
def test_a_file_that_is_cut_off_is_refused(tmp_path, write):
    path = tmp_path / "a.feather"
    write(path)
    content = path.read_bytes()
    for keep in (5, len(content) // 3, len(content) // 2):
        path.write_bytes(content[:keep])
        with pytest.raises(InputFileError, match="a.feather is no whole Feather file, but cut off, damaged or another"):
            feather.read(Raw(path))
