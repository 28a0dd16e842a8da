import random
import shutil
from pathlib import Path

import pytest
import torch
from commands.processes import SMALL
from runs.running import without_default_clock

from throughtime.commands.main import main


@pytest.fixture(autouse=True)
def _one_thread():
    """Models this small only lose by threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _no_checkpoints_by_time(monkeypatch):
    without_default_clock(monkeypatch)


@pytest.fixture
def text_file(tmp_path):
    """A file of 2,400 characters with some order in them, in words of a small language."""
    return _write_text(tmp_path / "text.txt")


def _write_text(path):
    words = ["über", "the", "a", "lazy", "dog", "fox", "jumps", "quick", "and", "sees\n"]
    chance = random.Random(5)
    path.write_text(" ".join(chance.choice(words) for _ in range(900))[:2400], encoding="utf-8")
    return path


@pytest.fixture
def command(capsys):
    """Run the command in this process: (exit code, stdout, stderr)."""

    def run(*words):
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def refused(command):
    """Run a command that must fail with one sentence on stderr and nothing else; return the sentence."""

    def run(*words, code=1):
        found, _, err = command(*words)
        assert found == code, err
        assert err.startswith("throughtime: ") and err.endswith(".\n") or err.count("\n") == 1, err
        assert err.count("\n") == 1 and "Traceback" not in err, err
        return err.removeprefix("throughtime: ").rstrip("\n")

    return run


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory):
    """A small run that has finished, in a folder beside its text; only `trained` may use it."""
    folder = tmp_path_factory.mktemp("finished")
    _write_text(folder / "text.txt")
    code = main(["train", str(folder / "text.txt"), "--output", str(folder / "run"), *SMALL])
    assert code == 0
    return folder / "run"


@pytest.fixture
def trained(finished_run, text_file, tmp_path):
    """The folder of a small run that has finished, on `text_file`: a copy for each test, with its own paths."""
    folder = Path(shutil.copytree(finished_run, tmp_path / "run"))
    for path in folder.iterdir():
        if path.suffix in (".json", ".yaml", ".html"):
            path.write_bytes(path.read_bytes().replace(bytes(finished_run.parent), bytes(tmp_path)))
    return folder
