"""Atomic file writes."""

import os
from contextlib import suppress
from pathlib import Path

ASIDE = ".partial"
"""Suffix of the name of an incomplete file."""


def replace_file(path: Path, content: bytes) -> None:
    """Write a file atomically.

    A reader sees the old content or the new content, never a part. The content is written to a file beside `path`,
    flushed to the disk, and moved to `path`. On failure the old file stays, and the incomplete file is removed.

    Args:
        path: the file; its folder exists.
        content: all bytes of the file.

    Raises:
        OSError: the system refused to write.
    """
    aside = path.with_name(path.name + ASIDE)
    try:
        with aside.open("wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        aside.replace(path)
    except BaseException:  # also after Ctrl-C
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        raise
