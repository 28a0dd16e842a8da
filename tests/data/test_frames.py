import sys
from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pytest

from throughtime.data.columns import Words
from throughtime.data.frames import rows_of_frame, rows_of_table
from throughtime.data.roles import Roles, series_of
from throughtime.data.series import Origin
from throughtime.data.times import moments_of
from throughtime.errors import ArgumentTypeError, InputFileError, UnsupportedError

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
pytest.importorskip("narwhals", reason="narwhals is not installed")

ORIGIN = Origin("a.parquet", 1, "", counts="row")
UTC_NOON = datetime(2024, 3, 31, 12, tzinfo=UTC)


def cells(rows):
    return {name: [column.cell(row) for row in range(rows.rows)] for name, column in rows.columns.items()}


def column(values, kind):
    return cells(rows_of_table(pa.table({"a": pa.array(values, kind)}), ORIGIN))["a"]


@pytest.mark.parametrize(
    ("values", "kind", "came"),
    [
        ([3, None, -4], pa.int16(), [3, None, -4]),
        ([1.5, None, float("nan")], pa.float32(), [1.5, None, None]),
        ([Decimal("1.25"), None], pa.decimal128(6, 2), [1.25, None]),
        ([True, None, False], pa.bool_(), [1, None, 0]),
        (["x", None, "", "007", "x"], pa.string(), ["x", None, "", "007", "x"]),
        (["x", None], pa.large_string(), ["x", None]),
        (["x", None], pa.string_view(), ["x", None]),
        ([None, None], pa.null(), [None, None]),
        ([2**53 + 1, None, 4], pa.int64(), [str(2**53 + 1), None, "4"]),
        ([2**53, None], pa.uint64(), [2**53, None]),
        ([date(2024, 2, 29), None], pa.date32(), ["2024-02-29", None]),
        ([date(2024, 2, 29)], pa.date64(), ["2024-02-29"]),
        ([datetime(2024, 2, 29, 5), None], pa.timestamp("us"), ["2024-02-29T05:00:00", None]),
        ([datetime(2024, 2, 29, 5, 0, 0, 250)], pa.timestamp("us"), ["2024-02-29T05:00:00.000250"]),
        ([UTC_NOON], pa.timestamp("ns", "UTC"), ["2024-03-31T12:00:00Z"]),
        ([UTC_NOON], pa.timestamp("s", "Europe/Berlin"), ["2024-03-31T12:00:00Z[Europe/Berlin]"]),
        ([UTC_NOON], pa.timestamp("s", "+01:00"), ["2024-03-31T12:00:00Z[+01:00]"]),
    ],
)
def test_columns_of_arrow(values, kind, came):
    assert column(values, kind) == came


def test_categories_take_the_type_of_their_values():
    chunks = [pa.array(part).dictionary_encode() for part in (["x", None, "y"], ["y", "z", "x"])]
    rows = rows_of_table(pa.table({"a": pa.chunked_array(chunks)}), ORIGIN)
    assert cells(rows)["a"] == ["x", None, "y", "y", "z", "x"]
    assert isinstance(rows.columns["a"], Words) and rows.columns["a"].levels == ("x", "y", "z")
    unused = pa.DictionaryArray.from_arrays(pa.array([2, None, 1], pa.uint8()), pa.array(["unused", "y", "x"]))
    rows = rows_of_table(pa.table({"a": unused}), ORIGIN)
    assert isinstance(rows.columns["a"], Words) and rows.columns["a"].levels == ("x", "y")
    assert column([3, None, 5], pa.dictionary(pa.int8(), pa.int64())) == [3, None, 5]


def test_notes_on_what_was_read():
    table = pa.table({"a": [True, None], "b": [2**60, 1], "c": [1.5, 2.5]})
    rows = rows_of_table(table, ORIGIN)
    assert rows.notes == [
        "True counts as 1 and false as 0 in 'a'.",
        "Whole numbers beyond 2⁵³ are read as words in 'b'.",
        "1 value missing, in 'a'.",
    ]
    assert rows.lines.tolist() == [1, 2] and rows.origin == ORIGIN


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            pa.table({"a": [[1], [2, 3]]}),
            "a.parquet, column 'a', holds list<.*>; a column must hold numbers, words or times",
        ),
        (pa.table({"a": [{"b": 1}]}), "column 'a', holds struct<"),
        (pa.table({"a": [b"x"]}), "column 'a', holds binary"),
        (pa.table({"a": pa.array([], pa.int8())}), "has no rows; give a table with rows"),
        (pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]), "has 2 columns 'a': rename all but one"),
    ],
)
def test_tables_that_are_no_rows_are_refused(table, message):
    with pytest.raises(InputFileError, match=message):
        rows_of_table(table, ORIGIN)


def test_a_value_is_refused_by_its_row():
    rows = rows_of_table(pa.table({"a": [1.5, float("inf")]}), ORIGIN)
    with pytest.raises(InputFileError, match="FILE a.parquet, row 2, column 'a': is infinite"):
        series_of(rows, Roles())


def test_frames_of_any_kind_are_the_same_rows():
    """Null and NaN, categories, zones and an index: what differs between frames does not between their rows."""
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    polars = pytest.importorskip("polars", reason="polars is not installed")
    frame = pandas.DataFrame(
        {
            "key": pandas.Categorical(["b", "a", "b"], categories=["unused", "a", "b"]),
            "number": [1.5, np.nan, -2.0],
            "whole": pandas.array([3, None, 5], dtype="Int64"),
            "word": ["x", None, "z"],
            "truth": [True, False, True],
            "time": pandas.date_range("2024-03-31", periods=3, freq="h", tz="Europe/Berlin"),
        }
    )
    table = pa.Table.from_pandas(frame)
    kinds = [frame, table, polars.from_pandas(frame), polars.from_pandas(frame).lazy(), table.to_reader()]
    read = [rows_of_frame(kind) for kind in kinds]
    assert cells(read[0]) == {
        "key": ["b", "a", "b"],
        "number": [1.5, None, -2.0],
        "whole": [3, None, 5],
        "word": ["x", None, "z"],
        "truth": [1, 0, 1],
        "time": [f"2024-03-{day}:00:00Z[Europe/Berlin]" for day in ("30T23", "31T00", "31T01")],
    }
    for rows in read:
        assert cells(rows) == cells(read[0]) and rows.notes == read[0].notes
        assert rows.origin.sha256 == read[0].origin.sha256 and rows.origin.counts == "row"
    assert [rows.origin.name for rows in read[:3]] == ["pandas.DataFrame", "pyarrow.Table", "polars.DataFrame"]
    moments = moments_of(read[0], "time")
    assert moments.clock.printed(moments.values) == [
        "2024-03-31T00:00:00+01:00",
        "2024-03-31T01:00:00+01:00",
        "2024-03-31T03:00:00+02:00",
    ]


def test_the_digest_is_that_of_the_content():
    tables = [pa.table({"a": values}) for values in ([1, 2], [1, 2], [1, 3], ["1", "2"])]
    digests = [rows_of_frame(table).origin.sha256 for table in tables]
    assert digests[0] == digests[1] and len(set(digests)) == 3


def test_the_index_of_pandas_is_a_column():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame({"y": [5, 6]}, index=["u", "v"])
    assert cells(rows_of_frame(frame)) == {"y": [5, 6], "index": ["u", "v"]}
    assert cells(rows_of_frame(frame.rename_axis("when"))) == {"y": [5, 6], "when": ["u", "v"]}
    assert list(rows_of_frame(frame.reset_index(drop=True)).columns) == ["y"]
    part = pandas.DataFrame({"y": [4, 5, 6, 7]}).iloc[[3, 0, 1]]
    rows = rows_of_frame(part)
    assert list(rows.columns) == ["y"] and "The index of whole numbers has no name" in rows.notes[0]
    assert list(rows_of_frame(part.rename_axis("hour")).columns) == ["y", "hour"]


@pytest.mark.parametrize("frame", [[1, 2], np.zeros((2, 3)), "a.csv", None])
def test_what_is_no_frame_is_refused(frame):
    with pytest.raises(
        ArgumentTypeError, match="frame is of type .*; it must be a data frame, such as pandas' or polars'"
    ):
        rows_of_frame(frame)


def test_a_frame_with_mixed_types_in_a_column_is_refused():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    with pytest.raises(
        InputFileError, match="holds a column that Arrow does not take .*'x'.*: give each column a type"
    ):
        rows_of_frame(pandas.DataFrame({"a": [1, "x"]}))
    with pytest.raises(InputFileError, match="Duplicate column names"):
        rows_of_frame(pandas.DataFrame([[1, 2]], columns=["a", "a"]))


def test_without_pyarrow_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UnsupportedError, match=r"A data frame needs pyarrow, .*: pip install 'throughtime\[data\]'"):
        rows_of_frame(object())
