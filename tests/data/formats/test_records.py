"""Records read in blocks are those that Python's csv module reads."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from throughtime.data.formats import records as module
from throughtime.data.formats.base import Raw
from throughtime.data.formats.records import Block, records
from throughtime.errors import InputFileError

WIDTH = 3

plain = st.sampled_from(["", "1.5", "a", "Ж é", "-2e3", " b", "c "])
unusual = st.sampled_from(['say "x"', "a;b", "two\nlines", "two\r\nlines", '"', " ", "\r"])
lines = st.lists(st.one_of(plain, plain, plain, unusual), min_size=1, max_size=4)
usual_lines = st.lists(plain, min_size=WIDTH, max_size=WIDTH)


def _read(content, tmp_path, width=WIDTH):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    blocks, read = 0, []
    for each in records(Raw(path), ";", width):
        if isinstance(each, Block):
            blocks += 1
            assert [len(column) for column in each.columns] == [len(each.columns[0])] * width
            read += [(each.line + at, list(fields)) for at, fields in enumerate(zip(*each.columns, strict=True))]
        else:
            read.append((each.line, each.fields))
    return read, blocks


def _expected(content):
    text, line, read = io.StringIO(content.decode("utf-8-sig"), newline=""), 1, []
    reader = csv.reader(text, delimiter=";", skipinitialspace=True, strict=True)
    for fields in reader:
        read.append((line, fields))
        line = reader.line_num + 1
    return read


@given(
    st.lists(st.tuples(st.one_of(usual_lines, usual_lines, lines), st.booleans()), min_size=1, max_size=12),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([1, 7, 40, 1 << 18]),
    st.booleans(),
    st.booleans(),
)
def test_blocks_and_records_are_what_csv_reads(tmp_path_factory, rows, end, piece, last_end, mark):
    """Any mixture of quotation marks, ends of lines within fields, blanks and lines of other widths, in any pieces."""
    text = io.StringIO(newline="")
    for fields, quoted in rows:
        quoting = csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
        csv.writer(text, delimiter=";", lineterminator=end, quoting=quoting).writerow(fields)
    content = text.getvalue() if last_end else text.getvalue().removesuffix(end)
    encoded = ("\ufeff" * mark + content).encode()
    if not encoded:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_PIECE", piece)
        assert _read(encoded, tmp_path_factory.getbasetemp())[0] == _expected(encoded)


def test_plain_lines_come_in_blocks_between_records(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_PIECE", 12)
    parts = ['a;"b";c\n', "1; 2;3\r\n", '4;"5\n5";6\n', "7;8;9\n", "\n", "10;11;12"]
    read, blocks = _read("".join(parts).encode(), tmp_path)
    assert read == _expected("".join(parts).encode()) and 2 <= blocks < len(parts)
    assert _read("".join(parts).encode(), tmp_path, 0) == (read, 0)


@pytest.mark.parametrize("line", ['x"y";2;3', '"a""";b;c', '""""";b;c', 'a;";";"c"', '"";"b";', '"a";b ;"c"'])
def test_quotation_marks_within_a_field_are_read_as_csv_reads_them(tmp_path, line):
    content = f"{line}\n1;2;3\n".encode()
    try:
        expected = _expected(content)
    except csv.Error:
        with pytest.raises(InputFileError, match="out of place"):
            _read(content, tmp_path)
    else:
        assert _read(content, tmp_path)[0] == expected


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('a;b;c\n1;2;3\n1;"2;3\n', "line 3: has a quotation mark out of place"),
        ('a;b;c\n1;2;3\n1;"2"x;3\n', "line 3: has a quotation mark out of place"),
        (b"a;b;c\n1;2;3\n1;\xff;3\n", "line 3, is not text in UTF-8"),
    ],
)
def test_damage_is_named_by_its_line(tmp_path, content, said):
    with pytest.raises(InputFileError, match=said):
        _read(content if isinstance(content, bytes) else content.encode(), tmp_path)


def test_a_field_beyond_the_limit_of_csv_is_refused_in_blocks_too(tmp_path):
    before = csv.field_size_limit(50)
    try:
        with pytest.raises(InputFileError, match="line 2.*field larger than field limit"):
            _read(("a;b;c\n" + "x" * 60 + ";2;3\n").encode(), tmp_path)
    finally:
        csv.field_size_limit(before)
