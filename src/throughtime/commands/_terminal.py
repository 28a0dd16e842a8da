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


def progress(text: str) -> None:
    """One line that is overwritten, for somebody who is watching."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()
