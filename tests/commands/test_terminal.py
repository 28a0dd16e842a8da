import io
from contextlib import redirect_stdout

from throughtime.commands._terminal import say, write
from throughtime.commands.main import main


def _ascii() -> io.TextIOWrapper:
    """A terminal that has no other letters than those of ASCII."""
    return io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)


def _printed(terminal: io.TextIOWrapper) -> str:
    terminal.seek(0)
    return terminal.read()


def test_letters_that_the_terminal_lacks_become_question_marks():
    with redirect_stdout(_ascii()) as terminal:
        write("λ1 = ")
        say("0 ± 1")
    assert _printed(terminal) == "?1 = 0 ? 1\n"


def test_a_diagnosis_is_told_on_such_a_terminal(text_file, tmp_path):
    words = ("--steps", "9", "--rows", "2", "--hidden-size", "5", "--num-layers", "1", "--output", tmp_path / "ü.html")
    with redirect_stdout(_ascii()) as terminal:
        assert main(["diagnose", *map(str, (text_file, *words))]) == 0
    printed = _printed(terminal)
    assert "Verdict " in printed and "?.html" in printed
