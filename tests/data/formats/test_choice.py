import gzip
import io
import sys
import types

import numpy as np
import pytest
from data_files import assert_same, raw_of, shared

from throughtime.data.columns import Numbers
from throughtime.data.formats import choice
from throughtime.data.formats.base import Format
from throughtime.data.formats.choice import formats, holds_series, read
from throughtime.data.series import Rows, SeriesSet
from throughtime.errors import ArgumentError, InputFileError

TS = "@problemName P\n@classLabel true a b\n@data\n"


def npy(array) -> bytes:
    handle = io.BytesIO()
    np.save(handle, array)
    return handle.getvalue()


def series_of(source, **options) -> SeriesSet:
    series = read(source, **options)
    assert isinstance(series, SeriesSet)
    return series


@pytest.fixture
def tables(monkeypatch):
    """A format of tables that reads a column of numbers."""

    def read_table(raw) -> Rows:
        name, *lines = raw.content().decode().split()
        return Rows(raw.origin, {name: Numbers(np.array(lines, float))}, len(lines), np.arange(2, len(lines) + 2))

    module = types.ModuleType("separated")
    module.FORMAT = Format("table", (".csv", ".tsv"), read_table)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "throughtime.data.formats.separated", module)


def test_formats_by_name():
    assert {"ts", "tsf", "ucr", "arff", "numpy", "mat"} <= set(formats())


def test_a_module_that_lacks_something_else_is_no_missing_format(monkeypatch):
    def lacking(name):
        raise ModuleNotFoundError("none", name="sys2")

    monkeypatch.setattr(choice.importlib, "import_module", lacking)
    with pytest.raises(ModuleNotFoundError):
        formats()


@pytest.mark.parametrize("name", ["a.ts", "a.txt", "a", "a.ts.gz", "a.npy"])
def test_the_content_tells_the_format(tmp_path, name):
    content = (TS + "1,2:a\n").encode()
    raw = raw_of(tmp_path, name, gzip.compress(content) if name.endswith(".gz") else content)
    assert_same(series_of(raw.path), [np.array([[1], [2]])])


def test_an_array_by_any_name(tmp_path):
    raw_of(tmp_path, "a.csv", npy(np.ones((2, 3, 4))))
    assert len(series_of(tmp_path / "a.csv")) == 2
    assert len(series_of(str(tmp_path / "a.csv"), layout="TNC")) == 3
    assert holds_series(tmp_path / "a.csv")


def test_the_archives_tsv_and_a_table_of_the_same_suffix(tmp_path, tables):
    raw_of(tmp_path, "a.tsv", "1\t2\t3\n2\t4\tNaN\n")
    series = series_of(tmp_path / "a.tsv")
    assert series.lengths.tolist() == [2, 1]
    assert series.notes[0].startswith("Each line was read as a class and a series, as no names of columns come first")
    raw_of(tmp_path, "b.tsv", "v\n1\n2\n")
    assert isinstance(read(tmp_path / "b.tsv"), Rows)


def test_a_format_by_name(tmp_path):
    raw_of(tmp_path, "a.txt", "1\t2\n2\t4\n")
    assert len(series_of(tmp_path / "a.txt", format="ucr")) == 2
    with pytest.raises(ArgumentError, match="format is xls; it must be .*ts, tsf"):
        read(tmp_path / "a.txt", format="xls")


def test_a_layout_is_for_arrays(tmp_path):
    raw = raw_of(tmp_path, "a.ts", TS + "1:a\n")
    with pytest.raises(ArgumentError, match="layout is NTC, and .*a.ts is of the format ts; only arrays have a layout"):
        read(raw.path, layout="NTC")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"Call me Ishmael. Some years ago\n", "looks like text, not like series or a table; train on it as text"),
        (b"\xfd7zXZ\0abc", "is compressed by xz, which is not read; .*.ts"),
        (b"\x80\x04\x95abc", "is a pickle, which can run any code, which is not read"),
        (b"1 2\n3 4\n5 6\n", "is a table separated by spaces; separate it by commas"),
        (b"\x1f\x8babc", "cannot be read"),
        (b"", "is empty"),
    ],
)
def test_other_files_are_refused(tmp_path, content, said):
    raw = tmp_path / "a.dat"
    raw.write_bytes(content)
    with pytest.raises(InputFileError, match=said):
        read(raw)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputFileError, match="does not exist"):
        read(tmp_path / "a.ts")


def test_only_text_looks_like_text(tmp_path):
    names = {
        "prose.txt": "It is late.\nGo home, please.\nNow.\n",
        "table.txt": "a,b\n1,2\n3,4\n",
        "s.dat": TS + "1:a\n",
    }
    found = {name: not holds_series(raw_of(tmp_path, name, content).path) for name, content in names.items()}
    assert found == {"prose.txt": True, "table.txt": False, "s.dat": False}


def test_a_folder_of_arrays_is_a_set_of_series_named_by_its_files(tmp_path):
    for number in (10, 9):
        raw_of(tmp_path, f"song {number}.npy", npy(np.full((number, 2), number)))
    raw_of(tmp_path, "README.md", "Songs.\n")
    series = series_of(tmp_path)
    assert series.ids == ["song 9", "song 10"]
    assert series.lengths.tolist() == [9, 10]
    assert series.notes[0] == "Files that hold neither series nor a table were left out: README.md."
    assert series.origin.name == str(tmp_path)
    assert series_of(f"{tmp_path}/*.npy").ids == ["song 9", "song 10"]


def test_a_list_or_pattern_with_a_file_that_is_no_data_is_refused(tmp_path):
    paths = [raw_of(tmp_path, "a.npy", npy(np.ones((2, 2)))).path, raw_of(tmp_path, "b.md", "Words.\n").path]
    with pytest.raises(InputFileError, match="b.md looks like text"):
        read(paths)
    with pytest.raises(InputFileError, match="b.md looks like text"):
        read(f"{tmp_path}/*")


def test_files_that_do_not_fit_are_named(tmp_path):
    raw_of(tmp_path, "a.npy", npy(np.ones((2, 2))))
    raw_of(tmp_path, "b.npy", npy(np.ones((2, 3))))
    with pytest.raises(
        InputFileError, match="The columns differ: x0 and x1 in FILE .*a.npy, and x0, x1 and x2 in FILE .*b"
    ):
        read(tmp_path)
    raw_of(tmp_path, "b.npy", TS + "1:a\n")
    with pytest.raises(
        InputFileError, match="a.npy is of the format numpy and .*b.npy of ts; name files of one format"
    ):
        read(tmp_path)


def test_a_folder_of_prose_is_refused_as_text(tmp_path):
    raw_of(tmp_path, "a.txt", "Once.\n")
    with pytest.raises(InputFileError, match="a.txt looks like text"):
        read(tmp_path)


def test_a_folder_of_tables_is_rows_with_their_file(tmp_path, tables):
    raw_of(tmp_path, "b.csv", "v\n1\n2\n")
    raw_of(tmp_path, "a.csv", "v\n3\n")
    rows = read(tmp_path)
    assert isinstance(rows, Rows)
    assert [rows.columns["file"].cell(row) for row in range(3)] == ["a", "b", "b"]
    assert [rows.columns["v"].cell(row) for row in range(3)] == [3, 1, 2]


def test_training_and_test_files_side_by_side(tmp_path):
    train = raw_of(tmp_path, "P_TRAIN.ts", TS + "1,2:a\n3:b\n").path
    test = raw_of(tmp_path, "P_TEST.ts", TS + "4:b\n").path
    assert series_of(train).notes == ["P_TEST.ts lies beside it and was not read; name both files to read both."]
    series = series_of([train, test])
    assert series.parts == ["train", "train", "test"]
    assert series.ids == ["P_TRAIN/0", "P_TRAIN/1", "P_TEST/0"]
    assert series.notes == []


def test_the_japanese_vowels_as_two_files():
    paths = [shared("JapaneseVowels_TRAIN.ts"), shared("JapaneseVowels_TEST.ts")]
    series = series_of(paths)
    assert (len(series), series.parts.count("train"), series.parts.count("test")) == (640, 270, 370)
