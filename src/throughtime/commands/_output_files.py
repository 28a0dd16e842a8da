"""Write the files that options of the commands name."""

import json
from pathlib import Path
from typing import Any

from throughtime.errors import ArgumentError
from throughtime.files import replace_file
from throughtime.wording import reason_of


def write_json(content: dict[str, Any], path: Path) -> None:
    """Write the file of --json atomically.

    Raises:
        ArgumentError: the file cannot be written.
    """
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_target("json", path, text.encode())


def write_target(argument: str, path: Path, content: bytes) -> None:
    """Write a file that an option names, atomically.

    Raises:
        ArgumentError: the file cannot be written.
    """
    if path.is_dir():
        raise ArgumentError(argument, f"is {path}, which is a folder", "it must be a file", "name another file")
    try:
        replace_file(path, content)
    except OSError as error:
        raise ArgumentError(
            argument,
            f"is {path}, which could not be written ({reason_of(error)})",
            "it must be a file in a folder that exists and has room",
            "name another file",
        ) from error
