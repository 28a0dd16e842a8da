import os

import pytest

from throughtime.errors import RunFolderError
from throughtime.records.lock import only_writer


def test_the_second_writer_is_refused_with_the_first_by_name(tmp_path):
    with only_writer(tmp_path):
        said = rf"RUN {tmp_path} is in use by process {os.getpid()} on .* since .*: give another\.$"
        with pytest.raises(RunFolderError, match=said), only_writer(tmp_path, "give another"):
            pass
    with only_writer(tmp_path):
        pass


def test_a_folder_that_cannot_hold_a_lock_is_refused(tmp_path):
    (tmp_path / "run.lock").mkdir()
    with pytest.raises(RunFolderError, match="cannot be written to \\(Is a directory\\)"), only_writer(tmp_path):
        pass


def test_an_error_of_the_work_is_not_taken_for_one_of_the_lock(tmp_path):
    with pytest.raises(OSError, match="mine"), only_writer(tmp_path):
        raise OSError("mine")
    assert os.listdir(tmp_path) == []
