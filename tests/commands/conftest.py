import random

import pytest
import torch
from commands.processes import SMALL

from throughtime.commands.main import main


@pytest.fixture(autouse=True)
def _one_thread():
    """Models this small only lose by threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def text_file(tmp_path):
    """A file of 2,400 characters with some order in them, in words of a small language."""
    words = ["über", "the", "a", "lazy", "dog", "fox", "jumps", "quick", "and", "sees\n"]
    chance = random.Random(5)
    path = tmp_path / "text.txt"
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


@pytest.fixture
def trained(command, text_file, tmp_path):
    """The folder of a small run that has finished."""
    folder = tmp_path / "run"
    code, _, err = command("train", text_file, "--output", folder, *SMALL)
    assert code == 0, err
    return folder
