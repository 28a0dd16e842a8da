import errno
import os

import pytest

from throughtime.files import ASIDE, replace_file


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), KeyboardInterrupt()])
@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, failing, error):
    path = tmp_path / "file"
    replace_file(path, b"old")

    def refuse(*arguments):
        assert (tmp_path / f"file{ASIDE}").read_bytes() == b"new"
        raise error

    monkeypatch.setattr(os, failing, refuse)
    with pytest.raises(type(error)):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["file"]


def test_a_folder_in_the_way_stays(tmp_path):
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError):
        replace_file(tmp_path / "file", b"new")
    assert os.listdir(tmp_path) == ["file"]


def test_an_incomplete_file_that_cannot_be_opened_does_not_hide_the_reason(tmp_path):
    (tmp_path / f"file{ASIDE}").mkdir()
    with pytest.raises(IsADirectoryError):
        replace_file(tmp_path / "file", b"new")


def test_the_new_content_is_on_the_disk_before_the_old_file_is_replaced(tmp_path, monkeypatch):
    path, synced, real = tmp_path / "file", [], os.fsync
    replace_file(path, b"old")
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.append(path.read_bytes()), real(handle)))
    replace_file(path, b"new")
    assert synced == [b"old"] and path.read_bytes() == b"new"
