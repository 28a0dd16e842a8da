import numpy as np
import pytest
from data_files import assert_same, raw_of, series_lists
from hypothesis import given
from hypothesis import strategies as st

from throughtime.data.columns import Numbers, Words
from throughtime.data.formats.ucr import read_ucr
from throughtime.errors import InputFileError


@given(series_lists(most_columns=1, padded=True), st.data())
def test_series_come_back_as_they_were_written(tmp_path_factory, tables, data):
    span = max(map(len, tables))
    labels = data.draw(st.lists(st.sampled_from(["1", "-1", "2"]), min_size=len(tables), max_size=len(tables)))
    lines = [
        "\t".join([label, *(repr(float(v)) for v in table[:, 0]), *["NaN"] * (span - len(table))])
        for table, label in zip(tables, labels, strict=True)
    ]
    series = read_ucr(raw_of(tmp_path_factory.mktemp("ucr"), "a.tsv", "\n".join(lines) + "\n"))
    assert_same(series, tables)
    assert isinstance(series.label, Words)
    assert [series.label.cell(i) for i in range(len(series))] == labels


def test_padding_is_left_out_with_a_note_and_missing_steps_within_stay(tmp_path):
    series = read_ucr(raw_of(tmp_path, "a.tsv", "2\t1\tNaN\t3\r\n\r\n-1\t4\tNaN\tNaN\r\n"))
    assert_same(series, [np.array([[1], [np.nan], [3]]), np.array([[4]])])
    assert series.notes == ["At the ends of 1 series, steps without any value were taken for padding and left out."]


@pytest.mark.parametrize(("text", "whole"), [("1.5\t2\t3\n", True), ("1\t2.5\t3\n1\t2\t3\n", False)])
def test_whole_numbers_are_told_apart_whatever_the_class(tmp_path, text, whole):
    column = read_ucr(raw_of(tmp_path, "a.tsv", text)).columns["value"]
    assert isinstance(column, Numbers)
    assert column.whole == whole


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("1\t2\t3\n1\t2\n", 2, "the line has 1 value after the class, and line 1 has 2; a shorter series ends in NaN"),
        ("a\t2\t3\n", 1, "the class in the first field is 'a'"),
        ("NaN\t2\t3\n", 1, "the class in the first field is NaN"),
        ("1\t2\tx\n", 1, "value 2 of the series is 'x'"),
        ("1\t2\tinf\n", 1, "value 2 of the series is inf"),
        ("1\n", 1, "the line has a single field"),
    ],
)
def test_a_damaged_line_is_named(tmp_path, text, line, said):
    raw = raw_of(tmp_path, "a.tsv", text)
    with pytest.raises(InputFileError) as caught:
        read_ucr(raw)
    assert f"FILE {raw.path}, line {line}: " in str(caught.value)
    assert said in str(caught.value)


def test_a_file_without_series_is_refused(tmp_path):
    with pytest.raises(InputFileError, match="has no series"):
        read_ucr(raw_of(tmp_path, "a.tsv", "\n \n"))
