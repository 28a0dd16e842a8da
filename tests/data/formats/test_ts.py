import numpy as np
import pytest
from data_files import assert_same, raw_of, series_lists, shared, tables_in, text_of
from hypothesis import given
from hypothesis import strategies as st

from throughtime.data.columns import Numbers, Words
from throughtime.data.formats.base import Raw
from throughtime.data.formats.ts import read_ts
from throughtime.errors import InputFileError

HEADER = "@problemName P\n@timeStamps false\n@univariate false\n@dimensions 2\n@equalLength false\n"
CLASSES = HEADER + "@classLabel true b a 10\n@data\n"


def written(tables, labels, tag: str) -> str:
    """The text of a `.ts` file."""
    lines = [
        ":".join([",".join(map(text_of, column)) for column in table.T] + [label] * bool(label))
        for table, label in zip(tables, labels, strict=True)
    ]
    return f"# made\n@problemName P\n@timeStamps false\n{tag}\n@data\n" + "\n".join(lines) + "\n"


@given(series_lists(), st.data())
def test_series_come_back_as_they_were_written(tmp_path_factory, tables, data):
    labels = data.draw(st.lists(st.sampled_from(["b", "a", "10"]), min_size=len(tables), max_size=len(tables)))
    text = written(tables, labels, "@classLabel true b a 10 unused")
    series = read_ts(raw_of(tmp_path_factory.mktemp("ts"), "a.ts", text))
    assert_same(series, tables)
    assert isinstance(series.label, Words)
    assert [series.label.cell(i) for i in range(len(series))] == labels
    assert series.label.levels == ("b", "a", "10", "unused")
    assert series.notes == []


def test_classes_are_words_in_the_order_of_the_header(tmp_path):
    series = read_ts(raw_of(tmp_path, "a.ts", CLASSES + "1,2,3:4,5,?:a\n\n6:7.5:10\n8,9:-1,1e3:b\n"))
    assert isinstance(series.label, Words)
    assert series.label.levels == ("b", "a", "10")
    assert series.label.numbers.tolist() == [1, 2, 0]
    assert series.ids == [0, 1, 2]
    assert series.lengths.tolist() == [3, 1, 2]
    assert_same(series, [np.array([[1, 4], [2, 5], [3, np.nan]]), np.array([[6, 7.5]]), np.array([[8, -1], [9, 1000]])])
    assert [column.whole for column in series.columns.values() if isinstance(column, Numbers)] == [True, False]


def test_a_target_is_a_number_and_a_single_column_is_called_value(tmp_path):
    text = "@targetlabel true\r\n@DATA\r\n1,2:0.5\r\n3:?\r\n"
    series = read_ts(raw_of(tmp_path, "a.ts", b"\xef\xbb\xbf" + text.encode()))
    assert isinstance(series.label, Numbers)
    np.testing.assert_array_equal(series.label.values, [0.5, np.nan])
    assert list(series.columns) == ["value"]


def test_without_a_label_every_field_is_a_dimension(tmp_path):
    series = read_ts(raw_of(tmp_path, "a.ts", "@classLabel false\n@data\n1,2:3,4:5,6\n"))
    assert series.label is None
    assert_same(series, [np.array([[1, 3, 5], [2, 4, 6]])])


def test_pairs_with_times(tmp_path):
    text = (
        "@timeStamps true\n@classLabel true a\n@data\n"
        "(2020-02-28,1),(2020-03-01 10:30:00,?):(2020-02-28,3),(2020-03-01 10:30:00,4):a\n"
        "(1999-12-31 23:59:59,5):(1999-12-31 23:59:59,6):a\n"
    )
    series = read_ts(raw_of(tmp_path, "a.ts", text))
    assert series.times is not None
    assert series.times.dtype == "datetime64[ns]"
    assert series.times.astype("datetime64[s]").astype(str).tolist() == [
        "2020-02-28T00:00:00",
        "2020-03-01T10:30:00",
        "1999-12-31T23:59:59",
    ]
    assert_same(series, [np.array([[1, 3], [np.nan, 4]]), np.array([[5, 6]])])


def test_what_the_header_says_otherwise_is_noted(tmp_path):
    text = "@dimensions 3\n@univariate true\n@equalLength true\n@seriesLength 7\n@path x\n@data\n1,2:3,4\n5:6\n"
    assert read_ts(raw_of(tmp_path, "a.ts", text)).notes == [
        "Line 5: @path is no tag of the format and was left out.",
        "The header says 3 dimensions; the series have 2.",
        "The header says that the series are univariate; they have 2 dimensions.",
        "The header says equal lengths; the series have 1 to 2 steps.",
        "The header says 7 steps; the series have 1 to 2.",
    ]


def test_series_without_steps_are_noted(tmp_path):
    series = read_ts(raw_of(tmp_path, "a.ts", CLASSES + "1:2:a\n::b\n"))
    assert series.lengths.tolist() == [1, 0]
    assert series.notes == ["1 series without steps: 1."]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (
            CLASSES + "1,2:3,4:a\n1,2:3:b\n",
            9,
            "dimension 2 has 1 step and dimension 1 has 2; the dimensions of a series",
        ),
        (CLASSES + "1,2:3,4:a\n1,2:b\n", 9, "the line has 1 dimension, and line 8 has 2"),
        (CLASSES + "1,2:3,4:c\n", 8, "the class is 'c'; it must be one that the header declares: b, a or 10"),
        (CLASSES + "1,2:3,4:\n", 8, "the class is ''; it must be"),
        (CLASSES + "1,2:3,x:a\n", 8, "value 2 of dimension 2 is 'x'; it must be a number"),
        (CLASSES + "1,:3,4:a\n", 8, "value 2 of dimension 1 is empty"),
        (CLASSES + "1,inf:3,4:a\n", 8, "value 2 of dimension 1 is inf; it must be finite"),
        (CLASSES + "1,1_0:3,4:a\n", 8, "value 2 of dimension 1 is '1_0'"),
        (CLASSES + "a\n", 8, "the line has a single field"),
        ("@classLabel true\n@data\n1:\n", 3, "the class is ''; it must be a word, or ? where it is missing"),
        ("@dimensions two\n@data\n1\n", 1, "@dimensions is two; it must be a whole number"),
        ("@univariate\n@data\n1\n", 1, "@univariate is empty; it must be true or false"),
        ("@classLabel true a\n@targetLabel true\n@data\n1\n", 2, "are both true"),
        ("@problemName P\n1,2,3\n@data\n", 2, "'1,2,3' stands before @data"),
        ("@timeStamps true\n@data\n1,2:3,4\n", 3, "as @timeStamps is true, it must be pairs"),
        ("@timeStamps true\n@data\n(0,1),(1,2)\n", 3, "the time '0'; it must be a date"),
        ("@timeStamps true\n@data\n(1500-01-01,1)\n", 3, "the years 1678 to 2261"),
        (
            "@timeStamps true\n@data\n(2020-01-01,1):(2020-01-02,1)\n",
            3,
            "step 1 is at 2020-01-01T00:00:00.000000000 in dimension 1",
        ),
        ("@targetLabel true\n@data\n1,2:x\n", 3, "the target after the last colon is 'x'"),
        (
            "@targetLabel true\n@data\n1,2:0,5\n",
            3,
            "the target after the last colon is '0,5'; it must be a number, write a",
        ),
    ],
)
def test_a_damaged_line_is_named(tmp_path, text, line, said):
    raw = raw_of(tmp_path, "a.ts", text)
    with pytest.raises(InputFileError) as caught:
        read_ts(raw)
    assert f"FILE {raw.path}, line {line}: " in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [(HEADER, "has no line @data"), (CLASSES + "\n# only this\n", "has no series after @data")],
)
def test_a_file_without_series_is_refused(tmp_path, text, said):
    with pytest.raises(InputFileError, match=said):
        read_ts(raw_of(tmp_path, "a.ts", text))


def test_the_japanese_vowels():
    series = read_ts(Raw(shared("JapaneseVowels_TRAIN.ts")))
    assert len(series) == 270
    assert (series.lengths.min(), series.lengths.max()) == (7, 26)
    assert len(series.columns) == 12
    assert isinstance(series.label, Words)
    assert np.bincount(series.label.numbers).tolist() == [30] * 9
    assert tables_in(series)[0][0, :2].tolist() == [1.860936, -0.207383]
    assert series.notes == []
    test = read_ts(Raw(shared("JapaneseVowels_TEST.ts")))
    assert (len(test), test.lengths.min(), test.lengths.max()) == (370, 7, 29)
