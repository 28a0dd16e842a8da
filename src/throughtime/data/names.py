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
    """Return the full path of a file. Raises `InputFileError` for a name that no file can have."""
    check_name(name)
    return str(Path(name).resolve())
