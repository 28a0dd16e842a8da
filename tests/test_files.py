import errno
import fcntl
import os
import subprocess
import sys

import pytest

from throughtime import files
from throughtime.files import ASIDE, FileLock, LockHeldError, replace_file


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


def test_a_lock_is_held_once_and_says_by_whom(tmp_path):
    path = tmp_path / "lock"
    with FileLock(path):
        with pytest.raises(LockHeldError, match=rf"process {os.getpid()} on .* since \d{{4}}-"), FileLock(path):
            pass
        assert path.exists()
    assert os.listdir(tmp_path) == []
    with FileLock(path):
        pass


HOLDS = """
import pathlib, sys, time
from throughtime.files import FileLock
with FileLock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_killed_process_holds_nothing(tmp_path):
    path = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLDS, path], stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None and holder.stdout.readline() == "held\n"
            with pytest.raises(LockHeldError, match=f"process {holder.pid} on"), FileLock(path):
                pass
        finally:
            holder.kill()
    assert path.exists()
    with FileLock(path):
        assert f"process {os.getpid()} " in path.read_text()
    assert not path.exists()


def test_a_lock_whose_file_was_removed_meanwhile_is_taken_anew(tmp_path, monkeypatch):
    path, real, calls = tmp_path / "lock", fcntl.flock, []

    def flock(descriptor, how):
        if not calls:
            path.unlink()  # as whoever held it does at its end
        calls.append(how)
        real(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    with FileLock(path):
        assert len(calls) == 2 and path.exists()


def test_a_file_system_without_locks_is_written_to_all_the_same(tmp_path, monkeypatch):
    def flock(descriptor, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    with FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock"):
        assert os.listdir(tmp_path) == []
    monkeypatch.setattr(files, "fcntl", None)
    with FileLock(tmp_path / "lock"):
        assert os.listdir(tmp_path) == []


def test_a_full_disk_does_not_keep_a_lock_from_holding(tmp_path, monkeypatch):
    def write(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", write)
    with (
        FileLock(tmp_path / "lock"),
        pytest.raises(LockHeldError, match="another process"),
        FileLock(tmp_path / "lock"),
    ):
        pass
