"""Write a page and its numbers side by side."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from throughtime.errors import ArgumentError
from throughtime.records import REPORT, write_aside
from throughtime.records.plain import to_plain
from throughtime.report.page import Page, render

NUMBERS_FORMAT = 1
"""Version of the layout of the numbers beside a page."""


@dataclass(frozen=True)
class Written:
    """Written report: paths of the page and the numbers, and the verdict."""

    page: Path
    numbers: Path
    verdict: str


def write_report(page: Page, numbers: Mapping[str, Any], paths: tuple[Path, Path]) -> Written:
    """Write a page, and its numbers as JSON; NaN and infinities are text there.

    Args:
        page: the content of the page.
        numbers: plain values and records, by name.
        paths: the paths of the page and of the numbers.

    Raises:
        RunFolderError: a file cannot be written.
        UnsupportedError: matplotlib or jinja2 is not installed.
    """
    drawn = render(page)  # before any file is written: it may fail
    page_path, numbers_path = paths
    plain = to_plain({"format": NUMBERS_FORMAT, **numbers})
    write_aside(numbers_path, (json.dumps(plain, allow_nan=False) + "\n").encode())
    write_aside(page_path, drawn)
    return Written(page_path, numbers_path, " ".join(page.verdict))


def page_paths(output: Path) -> tuple[Path, Path]:
    """Return the paths of a page and of its numbers. Raise `ArgumentError` where no page can be written."""
    if output.is_dir():
        raise ArgumentError(
            "output", f"is {output}, which is a folder", "it must be the path of a file", f"give {output / REPORT}"
        )
    for path in (output, output.with_suffix(".json")):
        if path.exists() and not path.is_file():  # a rename would replace a device by a file
            raise ArgumentError(
                "output",
                f"is {output}, but {path} is not an ordinary file",
                "only ordinary files are replaced",
                "give another name",
            )
    if output.suffix == ".json":
        raise ArgumentError(
            "output",
            f"is {output}, the path of the page's numbers",
            "it must not end in .json",
            "give a name that ends in .html",
        )
    if not output.parent.is_dir():
        raise ArgumentError(
            "output",
            f"is {output}, but there is no folder {output.parent}",
            "the folder must exist",
            "create it, or give another path",
        )
    return output, output.with_suffix(".json")
