"""throughtime report RUN: one page on a run, from its records."""

import sys
from typing import TYPE_CHECKING

from throughtime.errors import ArgumentError

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

HELP = "Write one self-contained HTML page on a run: report.html, and its numbers, report.json."


def add_arguments(parser: "ArgumentParser") -> None:
    """Declare the options of `throughtime report`."""
    parser.add_argument("run", type=str, metavar="RUN", help="A run folder that throughtime train wrote.")
    parser.add_argument(
        "--output", type=str, default="", metavar="FILE", help="Where the page goes. Default: report.html in RUN."
    )


def run(arguments: "Namespace") -> int:
    """Write the page; print where it lies and the verdict."""
    from throughtime.report import report_of_run

    try:
        written = report_of_run(arguments.run, arguments.output or None)
    except ArgumentError as error:
        raise ArgumentError(f"--{error}") from None
    encoding = sys.stdout.encoding or "utf-8"
    for line in (str(written.page), written.verdict):  # a letter that the terminal lacks is no reason to fail
        print(line.encode(encoding, "replace").decode(encoding))
    return 0
