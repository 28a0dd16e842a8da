"""Whatever happened to a file, it is read or refused in a sentence that names it."""

import gzip
import io
import warnings
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from throughtime.data.formats.choice import holds_series, read
from throughtime.errors import InputFileError

X = np.arange(24.0).reshape(2, 3, 4) / 7


def saved(save, **options) -> bytes:
    handle = io.BytesIO()
    save(handle, **options)
    return handle.getvalue()


def mat(compressed: bool) -> bytes:
    scipy = pytest.importorskip("scipy.io")
    cells = np.empty((1, 2), dtype=object)
    cells[0, 0], cells[0, 1] = X[0], X[1, :2]
    return saved(scipy.savemat, mdict={"traindata": cells, "y": np.arange(2.0)}, do_compression=compressed)


TS = "#c\n@problemName P\n@timeStamps false\n@dimensions 2\n@classLabel true a b\n@data\n1,2:3,?:a\n4:-5.5:b\n"
TIMES = "@timeStamps true\n@targetLabel true\n@data\n(2020-01-31 10:00:00,1),(2020-02-01,2):0.5\n"
TSF = (
    "@relation r\n@attribute series_name string\n@attribute start_timestamp date\n@attribute n numeric\n"
    "@frequency monthly\n@horizon 3\n@equallength false\n@data\nT1:2020-01-31 00-00-00:3:1,2,?\nT2:1999-12-01:4.5:7\n"
)
ARFF = "@relation r\n@attribute a numeric\n@attribute b numeric\n@attribute c {x, 'y z'}\n@data\n1,2.5,x\n3,?,'y z'\n"
RELATIONAL = (
    "@relation r\n@attribute r relational\n@attribute a numeric\n@attribute b numeric\n@end r\n"
    "@attribute c {x,y}\n@data\n'1,2\\n3,4',x\n\"5,6\\n7,?\",y\n"
)
FILES = {
    "a.ts": TS.encode(),
    "times.ts": TIMES.encode(),
    "a.tsf": TSF.encode(),
    "a.arff": ARFF.encode(),
    "b.arff": RELATIONAL.encode(),
    "a.tsv": b"1\t2\t3.5\n-1\t4\tNaN\n",
    "a.ts.gz": gzip.compress(TS.encode(), mtime=0),
    "a.npy": saved(np.save, arr=X),
    "a.npz": saved(np.savez, x=X, y=np.arange(2), lengths=np.array([3, 1])),
    "b.npz": saved(np.savez_compressed, x_train=X, y_train=np.arange(2), x_test=X, y_test=np.array(["u", "v"])),
}


@cache
def files() -> dict[str, bytes]:
    return {**FILES, "a.mat": mat(False), "b.mat": mat(True)}


PIECES = [
    b"",
    b"\0",
    b"\xff",
    b"\n",
    b",",
    b":",
    b"?",
    b"'",
    b"(",
    b"@",
    b"1e999",
    b"nan",
    b"9" * 25,
    b"-1",
    "日".encode(),
]


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_damaged_file_is_read_or_refused_in_a_sentence(tmp_path_factory, data):
    name = data.draw(st.sampled_from(sorted(files())))
    content = files()[name]
    for _ in range(data.draw(st.integers(1, 3))):
        at, length = data.draw(st.integers(0, len(content))), data.draw(st.sampled_from([0, 1, 1, 2, 8, 1000]))
        piece = data.draw(st.one_of(st.sampled_from(PIECES), st.binary(max_size=4)))
        content = content[:at] + piece + content[at + length :]
    path = tmp_path_factory.mktemp("damaged") / name
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            holds_series(path)
            series = read(path)
        except InputFileError as error:
            assert str(path) in str(error)
            assert "\n" not in str(error)
            return
    assert series.notes is not None


def test_the_files_are_read_whole(tmp_path):
    for name, content in files().items():
        (tmp_path / name).write_bytes(content)
        try:
            read(tmp_path / name)
        except InputFileError as error:
            assert name == "b.npz" and "words" in str(error)  # its labels are numbers in one part, words in the other
