"""Files of a run folder: atomic writes, complete reads."""

import json
from pathlib import Path
from typing import Any

from throughtime.errors import RunFolderError
from throughtime.files import replace_file
from throughtime.records.ranges import shown
from throughtime.wording import reason_of

RECORD = "record.json"
"""Name of the record file, which every run folder holds from the start; `write_aside` tells a run by it."""


TRAIN_ANEW = "restore the file, or train anew"
"""Cure of a damaged file that only a training writes."""


def write_aside(path: Path, content: bytes) -> None:
    """Write a file of a run atomically; see `throughtime.files.replace_file`.

    Raises:
        RunFolderError: the system refused; the file at `path` is still the old one.
    """
    try:
        replace_file(path, content)
    except OSError as error:
        kept = f"the previous {path.name} is kept" if path.exists() else "nothing is left half-written"
        resume = f" or go on with: throughtime train --resume {path.parent}"
        raise RunFolderError(
            f"Writing {path} failed ({reason_of(error)}); {kept}: make room or mend the folder, then repeat "
            f"the command{resume if (path.parent / RECORD).exists() else ''}."
        ) from error


def content(folder: Path, name: str) -> bytes:
    """Read a file of a run folder; return its bytes.

    Raises:
        RunFolderError: the file is missing or cannot be read.
    """
    try:
        return (folder / name).read_bytes()
    except FileNotFoundError:
        raise RunFolderError(
            f"RUN {folder} has no {name}: the folder is no run, or its training stopped before the file was written; "
            "give a folder that throughtime train wrote."
        ) from None
    except OSError as error:
        raise RunFolderError(f"{folder / name} cannot be read: {reason_of(error)}.") from None


def versioned(folder: Path, name: str, cure: str = TRAIN_ANEW) -> tuple[dict[str, Any], object]:
    """Read a JSON file; return its values and the version of its layout.

    Raises:
        RunFolderError: the file is missing or damaged; `cure` ends the message of a damaged file.
    """
    values = dictionary(folder, name, cure)
    if "format" not in values:
        raise damaged(folder / name, cure, "format is missing")
    return values, values["format"]


def dictionary(folder: Path, name: str, cure: str = TRAIN_ANEW) -> dict[str, Any]:
    """Read a JSON file that holds a dictionary. Raise `RunFolderError` as `versioned` does."""
    try:
        values = json.loads(content(folder, name))
    except (ValueError, RecursionError):
        raise damaged(folder / name, cure, "it is not what throughtime writes, but cut off or no JSON") from None
    if not isinstance(values, dict):
        raise damaged(folder / name, cure, f"its content is {shown(values)}; it must be a dictionary")
    return values


def damaged(path: Path, cure: str = TRAIN_ANEW, fault: object = "it is not what throughtime writes") -> RunFolderError:
    """Return the error for a file that differs from what throughtime writes. `cure` ends its message."""
    return RunFolderError(f"{path} is damaged: {fault}; {cure}.")
