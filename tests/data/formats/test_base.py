import gzip

import pytest

from throughtime.data.formats import base
from throughtime.data.formats.base import Raw
from throughtime.errors import InputFileError


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_text_and_lines_leave_out_the_mark(tmp_path, compress):
    path = tmp_path / "a"
    path.write_bytes(compress("\ufeffé\r\nb\rc".encode()))
    raw = Raw(path)
    assert raw.compressed == (compress is gzip.compress)
    with raw.text() as text:
        assert text.read() == "é\r\nb\rc"
    assert list(raw.lines()) == [(1, "é"), (2, "b"), (3, "c")]
    assert raw.content() == "\ufeffé\r\nb\rc".encode()


def test_lines_name_the_first_that_is_no_text(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"a\nb\n\xff\n")
    with pytest.raises(InputFileError, match="line 3, is not text in UTF-8: convert the file"):
        list(Raw(path).lines())


@pytest.mark.parametrize("use", [Raw.content, lambda raw: list(raw.lines()), lambda raw: raw.text().read()])
def test_a_file_that_unfolds_without_end_is_refused(tmp_path, monkeypatch, use):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(bytes(3 << 20)))
    monkeypatch.setattr(base, "LARGEST_RATIO", 2)
    with pytest.raises(InputFileError, match="unfolds to over 2 times its size, which no data do"):
        use(Raw(path))
