import csv
import gzip

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from throughtime.data.columns import Numbers
from throughtime.data.formats import separated
from throughtime.data.formats.base import Raw
from throughtime.errors import InputFileError


@pytest.fixture
def read(tmp_path):
    def read_content(content, name="table.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return separated.read(Raw(path))

    return read_content


def cells(rows):
    return {name: [column.cell(row) for row in range(rows.rows)] for name, column in rows.columns.items()}


def test_numbers_words_and_whole_numbers(read):
    rows = read("id,load,place,size\n7,1.50,north,3\n8,-2e3,south,-4\n9,.5,north,5\n")
    assert cells(rows) == {
        "id": [7, 8, 9],
        "load": [1.5, -2000.0, 0.5],
        "place": ["north", "south", "north"],
        "size": [3, -4, 5],
    }
    assert [type(cell) for cell in cells(rows)["id"]] == [int] * 3
    assert rows.columns["place"].levels == ("north", "south")
    assert rows.lines.tolist() == [2, 3, 4] and rows.notes == []


@pytest.mark.parametrize("missing", ["", "NA", "NaN", "nan", "null", "NULL", "?", '""', " NA"])
def test_what_stands_for_a_missing_value(read, missing):
    rows = read(f"a,b,c\n1,x,1.5\n{missing},{missing},{missing}\n3,y,2\n")
    assert cells(rows) == {"a": [1, None, 3], "b": ["x", None, "y"], "c": [1.5, None, 2.0]}
    assert rows.columns["b"].levels == ("x", "y")
    assert rows.notes == ["3 values missing, in 'a', 'b' and 'c'."]


def test_ids_with_leading_zeros_and_beyond_float64_stay_words(read):
    rows = read("a,b,c,d\n007,9007199254740993,0.5,1_0\n8,5,00.5,2\n")
    assert cells(rows)["a"] == ["007", "8"]
    assert cells(rows)["b"] == ["9007199254740993", "5"]
    assert cells(rows)["c"] == ["0.5", "00.5"]
    assert cells(rows)["d"] == ["1_0", "2"]
    assert cells(read("a,b\n9007199254740993,1\n0.5,2\n"))["a"] == [9007199254740992.0, 0.5]


def test_windows_text_with_a_mark_empty_lines_and_quotes(read):
    rows = read('\ufeff"a","b"\r\n\r\n"x, ""y""",1\r\n"two\r\nlines",2\r\n\r\n  \r\nz,3\r\n'.encode())
    assert cells(rows) == {"a": ['x, "y"', "two\r\nlines", "z"], "b": [1, 2, 3]}
    assert rows.lines.tolist() == [3, 4, 8]
    assert rows.notes == ["3 empty lines were left out."]


def test_semicolons_with_decimal_commas(read):
    rows = read("a;b;c\n1,5;2;x,y\n-3;4;z\n")
    assert cells(rows) == {"a": [1.5, -3.0], "b": [2, 4], "c": ["x,y", "z"]}
    assert rows.notes == ["Fields are separated by semicolons.", "Decimal commas are read as decimal points in 'a'."]


def test_commas_and_points_in_a_column_are_no_numbers(read):
    rows = read("a;b\n1;2\n1,5;2\n2.5;3\n")
    assert cells(rows)["a"] == ["1", "1,5", "2.5"]
    assert "Column 'a' is read as words, because line 4 has '2.5'." in rows.notes
    assert cells(read('a,b\n"1,5",2\n'))["a"] == ["1,5"]


def test_tabs(read):
    assert cells(read("a\tb\nx, y\t1\nz; w\t2\n", "table.tsv")) == {"a": ["x, y", "z; w"], "b": [1, 2]}


def test_a_column_alone(read):
    rows = read("load\n1.5\n\n2\n\n\n")
    assert cells(rows) == {"load": [1.5, None, 2.0]} and rows.lines.tolist() == [2, 3, 4]
    assert rows.notes == ["2 empty lines were left out.", "1 value missing, in 'load'."]


def test_a_file_without_a_header(read):
    rows = read("2020-01-01,1.5\n2020-01-02,2\n")
    assert cells(rows) == {"column_1": ["2020-01-01", "2020-01-02"], "column_2": [1.5, 2.0]}
    assert rows.lines.tolist() == [1, 2] and "The first line is no header" in rows.notes[0]
    rows = read("id,2019,2020\n1,2,3\n")
    assert list(rows.columns) == ["id", "2019", "2020"] and rows.notes == []
    assert read("north,1.5\nsouth,2\n").notes == [
        "The header names columns '1.5'; if these are values, add a line of names above them."
    ]


def test_a_column_without_a_name_gets_its_place(read):
    rows = read(",load\n0,1.5\n")
    assert cells(rows) == {"column_1": [0], "load": [1.5]}
    assert rows.notes == ["The header leaves columns without a name; they are called 'column_1'."]


def test_words_after_many_numbers_keep_the_text_of_all(read, monkeypatch):
    monkeypatch.setattr(separated, "_BLOCK", 6)
    rows = read("a,b,c\n1.50,,1\n2.0,,2\n3,x,3\n4,7,4\nfive,y,5\n006,,6\n")
    assert cells(rows) == {
        "a": ["1.50", "2.0", "3", "4", "five", "006"],
        "b": [None, None, "x", "7", "y", None],
        "c": [1, 2, 3, 4, 5, 6],
    }
    assert "Column 'a' is read as words, because line 6 has 'five'." in rows.notes
    assert not any("Column 'b'" in note for note in rows.notes)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.text(st.characters(codec="utf-8", exclude_characters="\0")), st.integers(-9, 9)), min_size=1),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
)
def test_what_is_written_is_read(tmp_path_factory, table, newline, separator, quoting):
    """All rows come back, and no others; a word is missing only where its text says so."""
    path = tmp_path_factory.mktemp("separated") / "table.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=separator, lineterminator=newline, quoting=quoting)
        writer.writerows([("word", "number"), *((f"w{word}", number) for word, number in table)])
    rows = separated.read(Raw(path))
    assert cells(rows) == {"word": [f"w{word}" for word, _ in table], "number": [number for _, number in table]}


def test_a_compressed_file(read):
    assert cells(read(gzip.compress(b"a,b\n1,x\n"), "table.csv.gz")) == {"a": [1], "b": ["x"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n", "has a header and no rows; add rows below it"),
        ("\n\r\n", "holds empty lines only; name a file with a header and rows"),
        ("\ufeff", "holds empty lines only"),
        ("a,b,a\n1,2,3\n", "line 1: names columns 1 and 3 'a': give each column a name of its own"),
        ("a,b\n1,2\n3\n", "line 3: has 1 field, and the header 2, separated by commas: give each line as many"),
        ("a,b\n\n1,2,3\n", "line 3: has 3 fields, and the header 2"),
        ('a,b\n"x",1\n"y,2\nz,3\n', r"line 3: has a quotation mark out of place \(unexpected end of data\)"),
        ('a,b\n"x"y,1\n', "line 2: has a quotation mark out of place"),
        (b"a,b\n1,2\nf\xfcr,3\n", "line 3, is not text in UTF-8: convert the file to UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "line 1, is UTF-16: convert the file to UTF-8"),
        (b"a,b\n1,\0\n", "holds NUL characters, so it is no text of rows"),
        (
            gzip.compress(b"a,b\n" + bytes(range(48, 58)) * 99, mtime=0)[:-9],
            "cannot be read: Compressed file ended before",
        ),
    ],
)
def test_a_file_that_is_no_table_is_refused(read, content, message):
    with pytest.raises(InputFileError, match=message):
        read(content)


def test_a_late_line_that_is_no_text_is_named(read):
    lines = [b"a,b"] + [b"1,2"] * 40_000
    lines[33_333] = b"1,\xff"
    with pytest.raises(InputFileError, match="line 33334, is not text in UTF-8"):
        read(b"\n".join(lines))


def test_an_infinite_number_is_a_number(read):
    assert cells(read("a\n1\n-inf\n")) == {"a": [1.0, -np.inf]}


@pytest.mark.parametrize("separator", [",", "\t"])
def test_a_table_wider_than_the_sample(read, separator):
    names = [f"number_{place:020}" for place in range(3000)]
    rows = read("\n".join(separator.join(line) for line in (names, map(str, range(3000)), map(str, range(1, 3001)))))
    assert rows.rows == 2 and cells(rows)[names[-1]] == [2999, 3000]
    assert all(isinstance(column, Numbers) and column.whole for column in rows.columns.values())
