"""Bytes as they come, from files; standard input is tested with the command."""

import sys

import pytest

from throughtime.data.bytestream import ByteStream
from throughtime.errors import ArgumentError, InputFileError


def test_a_file_comes_in_pieces_from_where_it_was_left(tmp_path):
    path, content = tmp_path / "stream", bytes(range(256)) * 200
    path.write_bytes(content)
    pieces = list(ByteStream(str(path), offset=300).pieces())
    assert b"".join(pieces) == content[300:] and len(pieces) > 1


def test_a_file_that_grows_is_waited_for(tmp_path):
    path = tmp_path / "stream"
    path.write_bytes(b"first")
    pieces = ByteStream(str(path), follow=True).pieces()
    assert next(pieces) == b"first" and next(pieces) == b""
    with path.open("ab") as handle:
        handle.write(b" second")
    assert next(pieces) == b" second" and next(pieces) == b""
    path.write_bytes(b"new")
    with pytest.raises(InputFileError, match="has 3 bytes, fewer than the 12 that were read"):
        next(pieces)


@pytest.mark.parametrize(
    ("name", "words"), [("missing", "does not exist"), (".", "is a folder")], ids=["missing", "folder"]
)
def test_what_is_no_file_is_refused_before_any_reading(tmp_path, monkeypatch, name, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputFileError, match=words):
        ByteStream(name)


def test_standard_input_cannot_be_followed():
    with pytest.raises(ArgumentError, match="follow is given for standard input; it is for a file that grows"):
        ByteStream("-", follow=True)


def test_closed_standard_input_is_named(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputFileError, match="Standard input is closed"):
        ByteStream("-")
