import csv
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from throughtime.data import writing
from throughtime.data.clock import Clock
from throughtime.data.columns import Numbers, Words
from throughtime.data.writing import Instants, check_output, rows_of, write_table
from throughtime.errors import ArgumentError, InputFileError

NOON = np.datetime64("2024-03-31T00:30", "ns")
"""Before clocks change in Berlin."""


def _table(rows=5):
    hours = NOON + np.arange(rows) * np.timedelta64(1, "h")
    return {
        "id": Words(np.array([0, 1, -1, 1, 0][:rows], dtype=np.int32), ("a, b", 'say "ü"')),
        "when": Instants(hours, Clock("Europe/Berlin", "s", "T", changing=True)),
        "count": Numbers(np.array([3, np.nan, -1, 0, 2**53][:rows]), whole=True),
        "level": Numbers(np.array([0.1, 2.0, np.nan, -1e-300, 1e22][:rows])),
    }


CELLS = [
    ("a, b", "2024-03-31T01:30:00+01:00", 3, 0.1),
    ('say "ü"', "2024-03-31T03:30:00+02:00", None, 2.0),
    (None, "2024-03-31T04:30:00+02:00", -1, None),
    ('say "ü"', "2024-03-31T05:30:00+02:00", 0, -1e-300),
    ("a, b", "2024-03-31T06:30:00+02:00", 2**53, 1e22),
]


@pytest.fixture(params=[2, 1 << 16], autouse=True)
def _blocks(request, monkeypatch):
    monkeypatch.setattr(writing, "_BLOCK", request.param)


def test_csv_and_json_hold_each_cell_as_it_came(tmp_path):
    write_table(tmp_path / "t.csv", _table())
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as handle:
        head, *rows = csv.reader(handle)
    assert head == ["id", "when", "count", "level"]
    assert rows == [["" if cell is None else str(cell) for cell in row] for row in CELLS]
    write_table(tmp_path / "t.jsonl", _table())
    lines = (tmp_path / "t.jsonl").read_text(encoding="utf-8").splitlines()
    assert [tuple(json.loads(line).values()) for line in lines] == CELLS and '"say \\"ü\\""' in lines[1]


def test_parquet_has_types_of_arrow_with_the_zone(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    write_table(tmp_path / "t.parquet", _table())
    table = parquet.read_table(tmp_path / "t.parquet")
    types = {field.name: str(field.type) for field in table.schema}
    assert types == {"id": "string", "when": "timestamp[ms, tz=Europe/Berlin]", "count": "int64", "level": "double"}
    rows = [(*row.values(),) for row in table.to_pylist()]
    assert [(row[0], row[1].isoformat(), *row[2:]) for row in rows] == CELLS


@pytest.mark.parametrize(
    ("clock", "kind", "text"),
    [
        (Clock(precision="D"), "date32[day]", "2024-03-31"),
        (Clock(precision="us"), "timestamp[us]", "2024-03-31 00:30:00.000000"),
        (Clock("Z", "s"), "timestamp[ms, tz=UTC]", "2024-03-31 00:30:00Z"),
        (Clock(precision="M"), "string", "2024-03"),
        (Clock(scale=10**9), "int64", str(int(NOON.astype(np.int64)) // 10**9)),
    ],
)
def test_times_have_the_precision_that_they_came_with(tmp_path, clock, kind, text):
    parquet = pytest.importorskip("pyarrow.parquet")
    table = {"ds": Instants(np.full(3, NOON), clock)}
    write_table(tmp_path / "t.csv", table)
    assert (tmp_path / "t.csv").read_text().splitlines() == ["ds", *[text] * 3]
    write_table(tmp_path / "t.parquet", table)
    assert str(parquet.read_schema(tmp_path / "t.parquet").field("ds").type) == kind


def test_times_that_are_numbers_are_all_whole_or_all_broken(tmp_path):
    whole, broken = np.array([0, 2, 5]) * 10**9, np.array([0, 2_500_000_000, 5 * 10**9])
    for ticks, cells in ((whole, [0, 2, 5]), (broken, [0.0, 2.5, 5.0])):
        times = Instants(ticks.view("datetime64[ns]"), Clock(scale=10**9, counts=True))
        write_table(tmp_path / "t.jsonl", {"at": times})
        assert (tmp_path / "t.jsonl").read_text() == "".join(f'{{"at": {cell}}}\n' for cell in cells)


@settings(deadline=None)  # each writes a file
@given(st.lists(st.floats(allow_nan=False), min_size=1))
def test_numbers_return_bit_by_bit(tmp_path_factory, numbers):
    path = tmp_path_factory.getbasetemp() / "numbers.csv"
    write_table(path, {"x": Numbers(np.array(numbers))})
    assert [float(line) for line in path.read_text().splitlines()[1:]] == numbers


def test_rows_are_those_that_are_written(tmp_path):
    write_table(tmp_path / "t.jsonl", _table())
    assert rows_of(_table()) == [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert rows_of(_table(), slice(1, 2)) == rows_of(_table())[1:2] and rows_of({}) == []


def test_the_old_file_stays_where_writing_fails(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    path.write_text("old")
    full = OSError(28, "No space left on device")
    monkeypatch.setattr(writing, "_cells", lambda column, rows: (_ for _ in ()).throw(full))
    with pytest.raises(InputFileError, match="t.csv cannot be written: No space left on device"):
        write_table(path, _table())
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("name", "said"), [("t.txt", "must end in .csv, .jsonl or .parquet"), ("no/t.csv", "make it")])
def test_an_output_that_cannot_be_is_refused_before_any_work(tmp_path, name, said):
    with pytest.raises(ArgumentError, match=said):
        check_output(tmp_path / name)
