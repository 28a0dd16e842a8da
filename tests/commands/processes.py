"""The command in a process of its own, and options that make a run small."""

import subprocess
import sys
from typing import Any

SMALL = (
    *("--hidden-size", "7", "--num-layers", "1", "--batch-size", "3", "--update-every", "5", "--epochs", "1"),
    *("--threads", "1", "--accelerator", "cpu"),
)


def process(*words: object, **options: Any) -> subprocess.Popen:
    """The real command, with its output in pipes."""
    script = "import sys; from throughtime.commands.main import main; sys.exit(main())"
    arguments = [sys.executable, "-c", script, *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(arguments, **{**pipes, **options})
