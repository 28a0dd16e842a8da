"""The command in a process of its own, and options that make a run small."""

import subprocess
import sys
from typing import Any

SMALL = (
    *("--hidden-size", "7", "--num-layers", "1", "--batch-size", "3", "--update-every", "5", "--epochs", "1"),
    *("--threads", "1", "--accelerator", "cpu"),
)


REAL = "import sys; from throughtime.commands.main import main; sys.exit(main())"


class Ended(subprocess.Popen):
    """A process that does not outlive its `with` block, so that a test that fails waits for nothing."""

    def __exit__(self, *error: Any) -> None:
        self.kill()
        super().__exit__(*error)


def process(*words: object, script: str = REAL, **options: Any) -> subprocess.Popen:
    """The real command, or a script that ends in it, with its output in pipes.

    Tests wait for it without a limit: how long it takes depends on what else the machine does, and pytest's own limit
    ends what hangs.
    """
    arguments = [sys.executable, "-c", script, *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return Ended(arguments, **{**pipes, **options})


def lines_until(wanted: str, running: subprocess.Popen) -> list[str]:
    """The lines that a process has printed when it prints `wanted`; it may go on printing afterwards."""
    lines = []
    for line in running.stdout:
        if line == wanted:
            return lines
        lines.append(line)
    raise AssertionError(f"it ended without {wanted!r}, after {lines}: {running.communicate()[1]}")
