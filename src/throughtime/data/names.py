"""Names of data files."""

import os
from pathlib import Path

from throughtime.errors import InputFileError


def check_name(name: str) -> None:
    """Raise `InputFileError` for a name that no file can have."""
    try:
        possible = b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:
        possible = False
    if not possible:
        raise InputFileError(
            f"FILE is {name!a}, and no file's name holds a NUL character or half of a surrogate pair; name another."
        )


def full_path(name: str) -> str:
    """Return the full path of a file.

    The name of data in memory stays as it is.

    Raises:
        InputFileError: no file can have the name.
    """
    check_name(name)
    return name if in_memory(name) else str(Path(name).resolve())


def memory_name(kind: str) -> str:
    """Return the name of data that came from memory, such as "<pandas.DataFrame>"."""
    return f"<{kind}>"


def in_memory(name: str) -> bool:
    """Return whether a name is that of data in memory, and no file has it."""
    return name.startswith("<") and name.endswith(">") and not Path(name).exists()
