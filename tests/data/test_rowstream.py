import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from throughtime.data import bytestream
from throughtime.data.rowstream import RowStream
from throughtime.errors import InputFileError


def _stream(tmp_path, content, **options):
    path = tmp_path / "rows"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return RowStream(str(path), **options)


def _rows(stream):
    return [row for piece in stream.pieces() for row in piece]


@pytest.mark.parametrize(
    ("content", "cells"),
    [
        ("a,b\n1,x\n2.5,\n", [{"a": 1.0, "b": "x"}, {"a": 2.5, "b": None}]),
        ("\ufeffa;b\r\n1,5;NA\r\n", [{"a": 1.5, "b": None}]),
        ('a\tb\n1\t"two\nlines"\n\n3\t4', [{"a": 1.0, "b": "two\nlines"}, {"a": 3.0, "b": 4.0}]),
        ('{"a": 1, "b": null}\n{"b": true}\n', [{"a": 1.0, "b": None}, {"a": None, "b": 1.0}]),
        ('{"a": "say \\"7\\" and {"}\n', [{"a": 'say "7" and {'}]),
        ("a\n1_000\n", [{"a": "1_000"}]),
    ],
)
def test_rows_come_as_numbers_texts_and_nothing(tmp_path, content, cells):
    rows = _rows(_stream(tmp_path, content))
    assert [dict(row.cells) for row in rows] == cells
    assert sum(row.size for row in rows) == len(content.encode())


@given(st.integers(1, 40), st.lists(st.tuples(st.integers(-99, 99), st.text('ab"\n,;{', max_size=5)), min_size=1))
def test_pieces_of_any_size_give_the_same_rows(tmp_path_factory, size, values):
    import csv
    import io

    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([["number", "word"], *values])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bytestream, "_PIECE_BYTES", size)
        stream = _stream(tmp_path_factory.mktemp("rows"), text.getvalue())
        first = stream.first()
        rows = _rows(stream)
    assert rows[0] == first
    assert [row.cells["number"] for row in rows] == [float(number) for number, _ in values]
    assert [row.cells["word"] for row in rows] == [word if word.strip() else None for _, word in values]


def test_a_stream_goes_on_behind_what_was_read(tmp_path):
    content = "a,b\n1,2\n\n3,4\n5,6\n"
    stream = _stream(tmp_path, content)
    rows = _rows(stream)
    offset = sum(row.size for row in rows[:2])
    later = _stream(tmp_path, content, offset=offset, names=stream.names, separator=stream.separator)
    assert [dict(row.cells) for row in _rows(later)] == [{"a": 5.0, "b": 6.0}]
    again = _stream(tmp_path, content, names=stream.names, separator=stream.separator)
    assert len(_rows(again)) == 3  # the line of names is no row


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("a,b\n1\n", "rows, line 2: has 1 field, and the first line 2."),
        ("a,a\n1,2\n", "line 1: names 'a' twice"),
        ("a,\n1,2\n", "line 1: has a column without a name"),
        ("{1}\n", "line 1: begins with {, and is no JSON object."),
        ('{"a": [1]}\n', "line 1: has a list or an object at 'a'"),
        (b"a\n\xff\n", "line 2: is no text in UTF-8."),
    ],
)
def test_what_is_no_row_is_refused_with_its_line(tmp_path, content, sentence):
    with pytest.raises(InputFileError, match=sentence.replace("{", r"\{").replace(".", r"\.")):
        _rows(_stream(tmp_path, content))


def test_a_stream_without_rows_is_refused(tmp_path):
    for content in ("", "a,b\n", "\n\n"):
        with pytest.raises(InputFileError, match="has no row to learn from"):
            _stream(tmp_path, content).first()


def test_a_quotation_mark_left_open_does_not_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("throughtime.data.rowstream._LONGEST", 50)
    monkeypatch.setattr(bytestream, "_PIECE_BYTES", 16)
    with pytest.raises(InputFileError, match="is a quotation mark left open"):
        _rows(_stream(tmp_path, 'a\n"' + "1\n" * 99))


def test_whole_numbers_of_json_are_numbers(tmp_path):
    assert _rows(_stream(tmp_path, json.dumps({"a": 3}) + "\n"))[0].cells == {"a": 3.0}
