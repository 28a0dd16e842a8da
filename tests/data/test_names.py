import os

import pytest

from throughtime.data.bytestream import ByteStream
from throughtime.data.names import full_path
from throughtime.data.text import read_file
from throughtime.errors import InputFileError


@pytest.mark.parametrize("read", [full_path, read_file, ByteStream])
@pytest.mark.parametrize("name", ["a\0b", "half \ud800"])
def test_a_name_that_no_file_can_have_is_refused(read, name):
    with pytest.raises(InputFileError, match="no file's name holds a NUL character or half of a surrogate pair") as it:
        read(name)
    assert str(it.value).isascii()


def test_bytes_that_are_no_text_can_be_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = os.fsdecode(b"caf\xe9")
    assert full_path(name) == str(tmp_path / name)
