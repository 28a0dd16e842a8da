"""Bytes from standard input and from files."""

import sys

import pytest

from throughtime.data.bytestream import ByteStream
from throughtime.errors import InputFileError


def test_closed_standard_input_is_named(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputFileError, match="Standard input is closed"):
        ByteStream("-")


def test_a_file_is_read_from_the_offset_in_pieces(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(bytes(range(256)) * 130)
    pieces = list(ByteStream(str(path), offset=300).pieces())
    assert b"".join(pieces) == path.read_bytes()[300:] and len(pieces) == 3
