"""Files that a reader finds whole: the new one or the one before, never half of one."""

import os
from pathlib import Path

from throughtime.errors import RunFolderError

RECORD = "record.json"
"""What every run folder holds from its first second on."""
ASIDE = ".partial"
"""What the name of a file that is being written ends in."""


def write_aside(path: Path, content: bytes) -> None:
    """Put `content` at `path` so that a crash or a full disk leaves the previous file readable.

    Raises:
        RunFolderError: the system refused; the file at `path` is still the previous one.
    """
    aside = path.with_name(path.name + ASIDE)
    try:
        with aside.open("wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        aside.replace(path)
    except OSError as error:
        _remove_quietly(aside)
        kept = f"the previous {path.name} is kept" if path.exists() else "nothing is left half-written"
        resume = f" or go on with: throughtime train --resume {path.parent}"
        raise RunFolderError(
            f"Writing {path} failed ({error.strerror or error}); {kept}: make room or mend the folder, then repeat "
            f"the command{resume if (path.parent / RECORD).exists() else ''}."
        ) from error


def content(folder: Path, name: str) -> bytes:
    """What stands in a file of a run folder; raises `RunFolderError` when it is missing or cannot be read."""
    try:
        return (folder / name).read_bytes()
    except FileNotFoundError:
        raise RunFolderError(
            f"RUN {folder} has no {name}, so it is not a run or its training was stopped before it was written: "
            "give a folder that throughtime train wrote."
        ) from None
    except OSError as error:
        raise RunFolderError(f"{folder / name} cannot be read: {error.strerror}.") from None


def damaged(path: Path, way_out: str = "restore the file, or train anew") -> RunFolderError:
    """The error for a file that is not what throughtime writes."""
    return RunFolderError(f"{path} is damaged: it is not what throughtime writes; {way_out}.")


def _remove_quietly(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return
