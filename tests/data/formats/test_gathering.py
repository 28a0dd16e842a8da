import numpy as np
import pytest

from throughtime.data.columns import Numbers, Words
from throughtime.data.formats.gathering import counterpart_of, gather, join_files, stem_of, suffix_of
from throughtime.data.series import Origin, Rows
from throughtime.errors import ArgumentError, InputFileError


def fill(folder, *names: str) -> None:
    for name in names:
        (folder / name).write_text("x")


def rows(name: str, **columns) -> Rows:
    made = {key: Numbers(np.array(values, dtype=float), whole=True) for key, values in columns.items()}
    count = len(next(iter(made.values())))
    return Rows(Origin(name, 2, name), made, count, np.arange(2, count + 2), [f"note of {name}"])


def test_a_folder_in_the_order_of_its_numbers(tmp_path):
    fill(tmp_path, "s10.csv", "s9.csv", "s01.csv", "S1.csv", ".DS_Store")
    (tmp_path / "more").mkdir()
    gathered = gather(tmp_path)
    assert [path.name for path in gathered.paths] == ["S1.csv", "s01.csv", "s9.csv", "s10.csv"]
    assert (gathered.name, gathered.kind) == (str(tmp_path), "folder")
    assert gathered.notes == ["Hidden files and folders were left out: .DS_Store and more."]


def test_a_pattern_and_a_file_that_looks_like_one(tmp_path):
    fill(tmp_path, "a2.csv", "a1.csv", "b.txt", "a[1].csv")
    assert [path.name for path in gather(f"{tmp_path}/a?.csv").paths] == ["a1.csv", "a2.csv"]
    gathered = gather(tmp_path / "a[1].csv")
    assert (gathered.kind, [path.name for path in gathered.paths]) == ("file", ["a[1].csv"])


def test_a_list_keeps_its_order(tmp_path):
    gathered = gather(["b.csv", tmp_path / "a.csv"])
    assert (gathered.kind, gathered.name) == ("list", f"b.csv and {tmp_path / 'a.csv'}")
    assert [path.name for path in gathered.paths] == ["b.csv", "a.csv"]
    with pytest.raises(ArgumentError, match="source is an empty list"):
        gather([])


def test_no_files_are_refused(tmp_path):
    with pytest.raises(InputFileError, match="is a pattern that no files have; name a file"):
        gather(f"{tmp_path}/*.csv")
    (tmp_path / "inner").mkdir()
    with pytest.raises(InputFileError, match="is a folder with no files but the folder inner; name a file"):
        gather(tmp_path)
    (tmp_path / "other").mkdir()
    with pytest.raises(InputFileError, match="is a folder with no files but the folders inner and other; name a file"):
        gather(tmp_path)
    with pytest.raises(InputFileError, match="no file's name holds a NUL character"):
        gather("a\0*")


def test_names_without_suffixes(tmp_path):
    assert [suffix_of(tmp_path / name) for name in ("a.CSV", "a.b.ts.gz", "a")] == [".csv", ".ts", ""]
    assert [stem_of(tmp_path / name) for name in ("a.CSV", "a.b.ts.GZ", "a")] == ["a", "a.b", "a"]


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("X_TRAIN.ts", "X_TEST.ts"),
        ("X_TEST.ts.gz", "X_TRAIN.ts.gz"),
        ("train.csv", "test.csv"),
        ("a-Train.b", "a-Test.b"),
    ],
)
def test_the_other_part_beside_a_file(tmp_path, name, other):
    assert counterpart_of(tmp_path / name) is None
    fill(tmp_path, name, other)
    assert counterpart_of(tmp_path / name) == tmp_path / other


def test_a_file_of_no_part_or_of_a_longer_word_has_no_counterpart(tmp_path):
    fill(tmp_path, "a.ts", "a_training.ts", "a_test.ts", "a_validation.ts")
    assert [counterpart_of(tmp_path / name) for name in ("a.ts", "a_training.ts", "a_validation.ts")] == [None] * 3


def test_rows_get_a_column_of_their_file(tmp_path):
    paths = [tmp_path / "a.csv", tmp_path / "b.csv.gz"]
    contents = [rows("1", u=[1, 2], v=[3, 4]), rows("2", u=[5], v=[6])]
    joined = join_files("both", paths, [part.origin for part in contents], contents)
    assert isinstance(joined, Rows)
    assert (joined.rows, joined.lines.tolist(), joined.origin.name, joined.origin.bytes) == (3, [2, 3, 2], "both", 4)
    assert list(joined.columns) == ["u", "v", "file"]
    assert isinstance(joined.columns["file"], Words)
    assert [joined.columns["file"].cell(row) for row in range(3)] == ["a", "a", "b"]
    assert joined.notes == [
        "2 files were read, and the column file tells which of them a row is from.",
        f"FILE {paths[0]}: note of 1",
        f"FILE {paths[1]}: note of 2",
    ]


def test_a_column_called_file_stays(tmp_path):
    contents = [rows("1", file=[1]), rows("2", file=[2])]
    joined = join_files("x", [tmp_path / "a", tmp_path / "b"], [part.origin for part in contents], contents)
    assert list(joined.columns) == ["file", "file_"]


def test_different_columns_and_the_same_names_are_refused(tmp_path):
    contents = [rows("1", u=[1]), rows("2", v=[2])]
    origins = [part.origin for part in contents]
    with pytest.raises(InputFileError, match="The columns differ: u in FILE .*a.csv, and v in FILE .*b.csv; files"):
        join_files("x", [tmp_path / "a.csv", tmp_path / "b.csv"], origins, contents)
    with pytest.raises(InputFileError, match="a.csv and .*a.csv.gz have the same name without their suffixes"):
        join_files("x", [tmp_path / "a.csv", tmp_path / "a.csv.gz"], origins, contents)
