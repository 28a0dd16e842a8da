import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from throughtime.data.columns import Numbers, Words
from throughtime.data.fields import GrowingColumn, is_number


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
