"""Print to terminals of every kind."""

import sys


def say(line: str) -> None:
    """Print a line at once; see `write`."""
    write(line + "\n")


def write(text: str) -> None:
    """Print a text at once, with question marks for letters the terminal lacks."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()


def progress(text: str) -> None:
    """Overwrite a line of progress on stderr, if stderr is a terminal."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()
