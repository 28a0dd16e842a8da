import pytest

from throughtime.errors import RunFolderError
from throughtime.records.files import RECORD, write_aside


def test_only_a_run_can_be_gone_on_with(tmp_path):
    (tmp_path / "page.html").mkdir()
    with pytest.raises(RunFolderError, match=r"then repeat the command\.$"):
        write_aside(tmp_path / "page.html", b"x")
    (tmp_path / RECORD).touch()
    with pytest.raises(RunFolderError, match=f"or go on with: throughtime train --resume {tmp_path}"):
        write_aside(tmp_path / "page.html", b"x")
