import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from throughtime.data import fields
from throughtime.data.columns import Numbers, Words
from throughtime.data.fields import GrowingColumn, by_arrow, is_number


def cells(column):
    return [column.cell(row) for row in range(len(column))]


@pytest.mark.parametrize(
    "field", ["1", "-2.50", "+3", ".5", "5.", "1e-3", "1E5", "0", "0.5", "-0", " 7 ", "inf", "-Infinity"]
)
def test_numbers(field):
    assert is_number(field) and is_number(field, commas=True)


@pytest.mark.parametrize(
    "field", ["", "NA", "x", "007", "-01", "1_000", "1 000", "1,000,000", "0x1f", "1e", "--1", "1.2.3"]
)
def test_no_numbers(field):
    assert not is_number(field) and not is_number(field, commas=True)


def test_a_comma_is_a_point_where_it_may_be():
    assert is_number("1,5", commas=True) and not is_number("1,5") and not is_number("1.000,5", commas=True)


@pytest.mark.parametrize(("texts", "whole"), [(["1", "", "-3"], True), (["1", "2.0"], False), (["1", "1e5"], False)])
def test_a_column_is_whole_where_all_its_numbers_are(texts, whole):
    column = GrowingColumn(commas=False)
    for text in texts:
        column.add([text])
    numbers = column.column()
    assert isinstance(numbers, Numbers) and numbers.whole == whole


def test_words_after_missing_values_come_in_time():
    column = GrowingColumn(commas=False)
    for block in (["", "NA"], ["x", "NA", "y"], ["7", "x"]):
        column.add(block)
    column.settle()
    words = column.column()
    assert not column.late and column.culprit is None
    assert isinstance(words, Words) and words.levels == ("x", "y", "7")
    assert cells(words) == [None, None, "x", None, "y", "7", "x"]


def test_words_after_numbers_come_late():
    column = GrowingColumn(commas=False)
    for block in (["", "1"], ["2", "x", "y"]):
        column.add(block)
    assert column.late and column.culprit == (3, "x")


def test_a_large_number_among_whole_ones_comes_late():
    column = GrowingColumn(commas=False)
    column.add(["1", "", "2"])
    column.add(["1", "9007199254740993", "9007199254740995"])
    assert not column.late
    column.settle()
    assert column.late and column.culprit == (4, "9007199254740993")


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["1", "2.5", "x", "", "007", "NA", "1e3", "9007199254740993", "-4", "inf"]),
            st.sampled_from(["1", "2", "y", "", "12345678901234567890", "3,5", "4.5"]),
        ),
        min_size=1,
        max_size=12,
    ),
    st.integers(1, 9),
    st.booleans(),
)
def test_no_block_decides_the_type_of_a_column(table, block, commas):
    """Read in blocks of any size, a file gives the same."""
    results = []
    for size in (block, 1 << 19):
        columns = [GrowingColumn(commas), GrowingColumn(commas)]
        for place, column in enumerate(columns):
            values = [row[place] for row in table]
            for start in range(0, len(values), size):
                column.add(values[start : start + size])
            column.settle()
            if column.late:
                columns[place] = again = GrowingColumn(commas, words=True)
                again.add(values)
                again.culprit = column.culprit
        results.append([(column.culprit, repr(column.column())) for column in columns])
    assert results[0] == results[1]


numerals = st.one_of(
    st.floats().map(repr), st.integers().map(str), st.text("0123456789.+-eEinfatyNI _\txX٣", max_size=12), st.text()
)


@settings(deadline=None)
@given(st.lists(numerals, min_size=1, max_size=3))
def test_arrow_reads_a_number_as_python_does_or_not_at_all(written):
    pytest.importorskip("pyarrow")
    written = [field.replace("(", "") for field in written]
    values = by_arrow(written)
    if values is not None:
        expected = np.array([float(field) for field in written])
        np.testing.assert_array_equal(
            values.view(np.int64)[~np.isnan(values)], expected.view(np.int64)[~np.isnan(values)]
        )
        np.testing.assert_array_equal(np.isnan(values), np.isnan(expected))


@pytest.mark.parametrize("last", ["1", "", "word", "+1", "nan(x)", "1e400", "٣", "1_0", "007"])
def test_columns_of_many_rows_are_what_those_of_few_are(monkeypatch, last):
    made = []
    for many in (0, 9):
        monkeypatch.setattr(fields, "_MANY", many)
        column = GrowingColumn(commas=False)
        for block in (["0.1", "-2.5e-3"], ["7", "12345678.901"], ["3", last]):
            column.add(block)
        made.append(
            (column.late, column.culprit, None if column.late else [column.column().cell(row) for row in range(6)])
        )
    assert made[0] == made[1]
