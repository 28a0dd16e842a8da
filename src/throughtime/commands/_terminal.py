"""What the commands print, on terminals of every kind."""

import sys


def say(line: str) -> None:
    """Print a line at once; see `write`."""
    write(line + "\n")


def write(text: str) -> None:
    """Print a text at once, with question marks for the letters that the terminal lacks: no reason for a traceback."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()
