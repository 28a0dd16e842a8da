import re
from pathlib import Path

import numpy as np
import pytest

import throughtime as tt
from throughtime.data.dataset import Dataset, is_path, read
from throughtime.data.series import Rows


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("who,when,heat,kind\nu,1,0.5,x\nu,2,0.25,x\nv,1,3,y\n")
    return path


def test_a_file_is_read_with_its_roles(file):
    data = read(file, target="kind", id="who", time="when")
    assert isinstance(data.content, Rows) and data.file == data.name == str(file)
    assert repr(data) == f"<Dataset {file}: 3 rows of 4 columns; target kind, id who, time when>"
    assert read([str(file), str(file.parent / "a.csv")][:1]).file == "", "the command takes no list"


def test_a_frame_and_arrays_have_the_name_of_their_kind(file):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = read(pandas.read_csv(file).rename(columns={"who": "unique_id"}), target=["kind"])
    assert frame.name == "<pandas.DataFrame>" and frame.file == ""
    assert repr(frame) == "<Dataset pandas.DataFrame: 3 rows of 4 columns; target kind, id unique_id>"
    arrays = read([np.zeros((1, 2)), np.zeros((5, 2))], ["a", "b"])
    assert repr(arrays) == "<Dataset list: 2 series of 1 to 5 steps and 2 columns, with labels>"
    per_step = read(np.zeros((2, 3, 1)), [[1, 2, 3], [4, 5, 6]])
    assert repr(per_step) == "<Dataset numpy.ndarray: 2 series of 3 steps and 2 columns; target y>"


def test_names_of_columns_come_as_text_or_as_a_list(file):
    said = read(file, ignore="when, heat", static="kind")
    listed = read(file, ignore=["when", "heat"], static=["kind"])
    assert said.roles == listed.roles and said.roles.ignore == ("when", "heat")


@pytest.mark.parametrize(
    ("source", "options", "said"),
    [
        ("file", {"target": "kimd"}, "target is 'kimd'; the columns of FILE .* did you mean 'kind'?"),
        ("file", {"labels": [1, 2]}, "labels came with a file; only arrays"),
        ("file", {"lengths": [1]}, "lengths came with a file"),
        ("file", {"id": "a,b"}, "id is 'a,b'; a column with a comma in its name has no role: rename the column"),
        ("file", {"ignore": ["a,b"]}, "ignore is 'a,b'"),
        ("file", {"id": 3}, "id is 3; it must be the name of a column, as text"),
        ("file", {"format": "xls"}, "format is xls"),
        ([np.zeros(3)], {"format": "csv"}, "format came with data in memory; only a file has a format"),
        (3, {}, "source is of type int; it must be a path, a data frame, an array or a list of arrays"),
        (None, {}, "source is of type NoneType"),
        ({"x": [1]}, {}, "source is of type dict"),
        (Dataset(None), {}, "source is a Dataset, which was read before"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(source, options, said, file):
    with pytest.raises(tt.ArgumentError, match=said):
        read(file if source == "file" else source, **options)


def test_paths_are_told_from_arrays():
    assert is_path("a.csv") and is_path(Path("a")) and is_path(["a", Path("b")])
    assert not (is_path([]) or is_path([1, 2]) or is_path([["a"]]))


def test_it_is_public():
    assert tt.data.read is read and tt.data.Dataset is Dataset
    with pytest.raises(AttributeError, match=re.escape("module 'throughtime.data' has no attribute 'reed'")):
        _ = tt.data.reed
