"""Folder of a new run. No torch is imported."""

from datetime import datetime
from pathlib import Path


def default_folder(name: str) -> Path:
    """Return a new run folder, named after the data and the time."""
    folder = Path(f"runs/{name}-{datetime.now():%Y%m%d-%H%M%S}")
    number = 1
    while folder.exists():  # a run of less than a second came before
        number += 1
        folder = folder.with_name(f"{folder.name.removesuffix(f'-{number - 1}')}-{number}")
    return folder
