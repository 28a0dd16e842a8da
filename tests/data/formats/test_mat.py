import builtins
from pathlib import Path

import numpy as np
import pytest
from data_files import assert_same, raw_of, series_lists, shared, tables_in
from hypothesis import given, settings

from throughtime.data.columns import Numbers, Words
from throughtime.data.formats.base import Raw
from throughtime.data.formats.mat import read_mat
from throughtime.errors import InputFileError, UnsupportedError

savemat = pytest.importorskip("scipy.io").savemat

A, B = np.arange(15.0).reshape(5, 3) / 7, np.arange(6.0).reshape(2, 3) / 7


def cells(*values) -> np.ndarray:
    """A cell array."""
    array = np.empty((1, len(values)), dtype=object)
    for at, value in enumerate(values):
        array[0, at] = value
    return array


def mat_of(folder, compressed: bool = False, version: str = "5", **variables) -> Raw:
    path = folder / "a.mat"
    savemat(path, variables, do_compression=compressed, format=version)
    return Raw(path)


@given(series_lists())
@settings(deadline=None)
def test_cells_come_back_as_they_were_saved(tmp_path_factory, tables):
    # Where all series have a single step, a row is the way to write a series of a single column.
    rows = all(len(table) == 1 for table in tables)
    series = read_mat(mat_of(tmp_path_factory.mktemp("mat"), data=cells(*tables)))
    assert_same(series, [table.T for table in tables] if rows else tables)
    assert_same(read_mat(Raw(Path(series.origin.name)), "TC"), tables)


def test_parts_and_labels_as_matlab_names_them(tmp_path):
    raw = mat_of(
        tmp_path,
        compressed=True,
        XTrain=cells(A, B),
        YTrain=np.array([[2.0], [1.0]]),
        XTest=cells(B),
        YTest=np.array([[1.0]]),
        rate=8000.0,
    )
    series = read_mat(raw)
    assert_same(series, [A, B, B])
    assert series.parts == ["train", "train", "test"]
    assert isinstance(series.label, Numbers)
    assert (series.label.values.tolist(), series.label.whole) == ([2, 1, 1], True)
    assert series.notes == [
        "Arrays whose names tell no role of the parts train and test were left out: rate with the shape ()."
    ]


def test_words_in_cells_are_classes(tmp_path):
    series = read_mat(mat_of(tmp_path, x=cells(A, B), labels=cells("up", "down")))
    assert isinstance(series.label, Words)
    assert series.label.levels == ("up", "down")


def test_rows_in_cells_are_series_of_a_single_column(tmp_path):
    assert_same(
        read_mat(mat_of(tmp_path, x=cells(A[:2].ravel(), A[2:4].ravel()))), [A[:2].reshape(6, 1), A[2:4].reshape(6, 1)]
    )


@pytest.mark.parametrize("version", ["4", "5"])
def test_plain_arrays(tmp_path, version):
    series = read_mat(mat_of(tmp_path, version=version, song=A))
    assert_same(series, [A])
    if version == "5":
        assert_same(read_mat(mat_of(tmp_path, song=np.stack([A, A + 1]))), [A, A + 1])
        assert_same(read_mat(mat_of(tmp_path, song=np.stack([A, A + 1]).T), "CTN"), [A, A + 1])


def test_version_7_3_is_refused_with_the_way_out(tmp_path):
    header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512) + b"\x89HDF\r\n\x1a\n"
    with pytest.raises(InputFileError, match="is of MATLAB's version 7.3, an HDF5 file, .* with save.name, '-v7'."):
        read_mat(raw_of(tmp_path, "a.mat", header))


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("compressed", [True, False])
def test_a_truncated_file_is_refused(tmp_path, compressed, kept):
    content = mat_of(tmp_path, compressed, x=cells(A, B)).content()
    with pytest.raises(InputFileError, match="is a damaged .mat file, or none"):
        read_mat(raw_of(tmp_path, "b.mat", content[: int(kept * len(content))]))


def test_two_variables_of_a_name_are_refused(tmp_path):
    content = mat_of(tmp_path, x=A).content()
    with pytest.raises(InputFileError, match='Duplicate variable name "x"'):
        read_mat(raw_of(tmp_path, "b.mat", content + content[128:]))


def test_another_file_is_refused(tmp_path):
    with pytest.raises(InputFileError, match="is a damaged .mat file, or none"):
        read_mat(raw_of(tmp_path, "b.mat", "no\nmatrix\n" * 50))


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"x": {"a": A}}, "The array x of FILE .* is a structure or an object; save its fields"),
        ({"x": cells(cells(A))}, "is a cell array whose cells are no arrays of numbers"),
        ({"s": {"a": A}}, "holds no arrays of numbers. s was left out: it is a structure"),
        ({"x": cells(A, B[:, :2])}, "The array x of FILE .* has .5, 3. in the series 0 and .2, 2. in the series 1"),
        ({"x": cells(A, "words")}, "in the series 1, counted from 0, holds text; steps must be numbers"),
        ({"x": A * 1j}, "holds complex numbers"),
        ({"x": A + np.inf}, r"is inf at \[0, 0\]"),
    ],
)
def test_what_holds_no_series_is_named(tmp_path, variables, said):
    raw = mat_of(tmp_path, **variables)
    with pytest.raises(InputFileError, match=said):
        read_mat(raw)


def test_a_sparse_matrix_is_left_out_with_a_note_or_refused_as_steps(tmp_path):
    sparse = pytest.importorskip("scipy.sparse").csc_matrix(A)
    assert read_mat(mat_of(tmp_path, x=A, adjacency=sparse)).notes[0] == (
        "adjacency was left out: it is a sparse matrix; save full(...) of it."
    )
    with pytest.raises(InputFileError, match="The array x of FILE .* is a sparse matrix; save full"):
        read_mat(mat_of(tmp_path, x=sparse))


def test_a_file_that_declares_far_more_than_it_has_is_refused(tmp_path):
    content = bytearray(mat_of(tmp_path, x=A).content())
    at = content.index(np.array([5, 3], dtype="<i4").tobytes())
    content[at : at + 8] = np.array([2**30, 2**20], dtype="<i4").tobytes()
    with pytest.raises(InputFileError, match="declares 1,125,899,906,842,624 elements, over 1000 times its size"):
        read_mat(raw_of(tmp_path, "b.mat", bytes(content)))


def test_without_scipy_the_extra_is_named(tmp_path, monkeypatch):
    raw, load = mat_of(tmp_path, x=A), builtins.__import__

    def without(name, *rest):
        if name.startswith("scipy"):
            raise ImportError(name)
        return load(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        UnsupportedError, match=r"needs scipy, which is not installed: pip install 'throughtime\[data\]'"
    ):
        read_mat(raw)


def test_the_chorales():
    series = read_mat(Raw(shared("JSB_Chorales.mat")))
    assert [series.parts.count(part) for part in ("train", "valid", "test")] == [229, 76, 77]
    assert len(series.columns) == 88
    assert series.lengths[:4].tolist() == [129, 65, 49, 65]
    assert set(np.unique(tables_in(series)[0])) == {0, 1}
    assert (series.ids[0], series.ids[-1]) == ("train/0", "test/76")
    assert series.notes == []
