import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from throughtime.data.columns import Numbers
from throughtime.data.formats import jsonl
from throughtime.data.formats.base import Raw
from throughtime.errors import InputFileError


@pytest.fixture
def read(tmp_path):
    def read_content(content):
        path = tmp_path / "rows.jsonl"
        path.write_bytes(content.encode())
        return jsonl.read(Raw(path))

    return read_content


def cells(rows):
    return {name: [column.cell(row) for row in range(rows.rows)] for name, column in rows.columns.items()}


def test_keys_are_columns(read):
    rows = read('{"a": 1, "b": "x"}\n\n{"b": null, "c": 2.5}\r\n{"a": NaN, "c": 3}\n')
    assert cells(rows) == {"a": [1, None, None], "b": ["x", None, None], "c": [None, 2.5, 3.0]}
    assert rows.columns["a"].whole and not rows.columns["c"].whole
    assert rows.lines.tolist() == [1, 3, 4]
    assert rows.notes == ["1 empty line was left out.", "5 values missing, in 'a', 'b' and 'c'."]


def test_truth_is_a_number(read):
    rows = read('{"a": true}\n{"a": false}\n')
    assert cells(rows) == {"a": [1, 0]} and rows.notes == ["True counts as 1 and false as 0 in 'a'."]


def test_text_stays_text_and_large_numbers_become_it(read):
    rows = read('{"a": "007", "b": 1, "c": 1}\n{"a": "8", "b": 9007199254740993, "c": "x"}\n')
    assert cells(rows) == {"a": ["007", "8"], "b": ["1", "9007199254740993"], "c": ["1", "x"]}
    assert rows.notes == [
        "Column 'b' is read as words, because line 2 has '9007199254740993'.",
        "Column 'c' is read as words, because line 2 has 'x'.",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": 1}\n{"a": [1, 2]}\n', "line 2: key 'a', is a list: spread it over keys of their own"),
        ('{"a": {"b": 1}}\n', "line 1: key 'a', is an object"),
        ('{"a": 1, "a": 2}\n', "line 1: has the key 'a' twice: leave one out"),
        ('[{"a": 1}]\n', "line 1: is a list, no JSON object: write an object per line"),
        ("3\n", "line 1: is a number, no JSON object"),
        ('{"a": 1}\n{"a": \n', "line 2: is no JSON"),
        ("{}\n\n", "has no rows with keys"),
    ],
)
def test_a_line_that_is_no_row_is_refused(read, content, message):
    with pytest.raises(InputFileError, match=message):
        read(content)


values = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(max_size=3)


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from("abc"), values), min_size=1, max_size=9), st.integers(1, 4))
def test_no_block_decides_the_type_of_a_column(tmp_path_factory, table, block):
    """Every value comes back, whatever the size of the blocks: a number where all are numbers, else spelled out."""
    if not any(table):
        table = [{"a": 1}, *table]
    path = tmp_path_factory.mktemp("jsonl") / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, table)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jsonl, "_BLOCK", block)
        rows = jsonl.read(Raw(path))
    assert rows.rows == len(table) and rows.lines.tolist() == list(range(1, len(table) + 1))
    for name, column in rows.columns.items():
        came = [int(row[name]) if row.get(name) in (True, False) else row.get(name) for row in table]
        if isinstance(column, Numbers):
            assert [column.cell(row) for row in range(rows.rows)] == came
        else:
            assert [column.cell(row) is None for row in range(rows.rows)] == [cell is None for cell in came]
            assert all(column.cell(row) == cell for row, cell in enumerate(came) if isinstance(cell, str))
