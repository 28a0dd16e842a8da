import io
import sys

import pytest

from throughtime.commands._terminal import say, write
from throughtime.commands.main import main


@pytest.fixture
def ascii_terminal(monkeypatch):
    """Standard output that has no other letters than those of ASCII; returns what was printed."""
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    monkeypatch.setattr(sys, "stdout", terminal)
    return lambda: terminal.buffer.getvalue().decode("ascii")


def test_letters_that_the_terminal_lacks_become_question_marks(ascii_terminal):
    write("λ1 = ")
    say("0 ± 1")
    assert ascii_terminal() == "?1 = 0 ? 1\n"


def test_a_diagnosis_is_told_on_such_a_terminal(ascii_terminal, text_file, tmp_path):
    words = ("--steps", "9", "--rows", "2", "--hidden-size", "5", "--num-layers", "1", "--output", tmp_path / "ü.html")
    assert main(["diagnose", *map(str, (text_file, *words))]) == 0
    assert "Verdict " in ascii_terminal() and "?.html" in ascii_terminal()
