import pytest

from throughtime.data.formats.recognition import TEXT, UCR, binary_kind, is_ucr, text_kind

PROSE = "It was late, and it rained.\nNobody came, nobody went.\nIn the end, we left, and we slept.\n"
CODE = "import os\n\n@cache\ndef f(x, y):\n    return x + 1, y\n"


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\x93NUMPY\1\0", ".npy"),
        (b"PK\3\4", ".npz"),
        (b"PAR1", ".parquet"),
        (b"ARROW1\0\0", ".feather"),
        (b"MATLAB 5.0", ".mat"),
        (b"\x89HDF\r\n\x1a\n", ".mat"),
        (b"%PDF-1.7", "a PDF"),
        (b"\x80\4\x95", "a pickle, which can run any code"),
        (b"\xff\xfea\0", "text in UTF-16 or UTF-32"),
        (b"G\0\1", "a binary file of unknown kind"),
        ("größe".encode("latin-1"), ""),
        (b"a,b\n", ""),
        (b"", ""),
    ],
)
def test_first_bytes_tell_the_kind(head, kind):
    assert binary_kind(head) == kind


@pytest.mark.parametrize(
    ("text", "suffix", "kind"),
    [
        ("#c\n@problemName P\n@data\n1,2:a\n", ".txt", ".ts"),
        ("@timeStamps false\n", ".ts", ".ts"),
        ("# only a comment\n", ".ts", ".ts"),
        ("import { a } from './b';\n@Component({})\nclass A {}\n", ".ts", TEXT),
        ("@Component({})\nclass A {}\n", ".ts", TEXT),
        ("@relation r\n@attribute series_name string\n@frequency daily\n@data\n", "", ".tsf"),
        ("% c\n@RELATION r\n@ATTRIBUTE a numeric\n", "", ".arff"),
        ("% only a comment\n", ".arff", ".arff"),
        ('{"a": 1}\n{"a": 2}\n', ".txt", ".jsonl"),
        ("", ".jsonl", ".jsonl"),
        ('{\n "a": 1\n}\n', ".json", "a JSON document; write an object a line, as .jsonl"),
        ("1\t0.5\tNaN\n", ".tsv", UCR),
        ("class\ta\tb\n1\t0.5\t2\n", ".tsv", ".csv"),
        ("a,b\n", ".csv", ".csv"),
        ("day;price\n1;2,5\n2;2,6\n", ".txt", ".csv"),
        ("day,price\nx,1\ny,2\n", ".dat", ".csv"),
        ("1.5\n2.5\n3.5\n", ".txt", ".csv"),
        ("1 2\n3 4\n5 6\n", ".txt", "a table separated by spaces; separate it by commas"),
        (PROSE, ".txt", TEXT),
        (PROSE, "", TEXT),
        (CODE, ".py", TEXT),
        ("one, two\n", ".txt", TEXT),
        ("", ".txt", TEXT),
    ],
)
def test_first_lines_tell_the_kind(text, suffix, kind):
    assert text_kind(text.encode(), suffix) == kind
    assert text_kind(text.replace("\n", "\r\n").encode("utf-8-sig"), suffix) == kind


def test_a_line_cut_by_the_end_of_the_head_counts_for_nothing():
    assert text_kind(b"1,2\n3,4\n5,6\n7", ".txt") == ".csv"


def test_a_series_of_the_archive_has_no_words():
    assert is_ucr("1\t2\tNaN")
    assert is_ucr(" -1.0\t2\t3")
    assert not is_ucr("0.5\t2\t3")
    assert not is_ucr("nan\t2\t3")
    assert not is_ucr("1\t2")
    assert not is_ucr("time\t2\t3")
