"""throughtime report RUN: one page on a run, from its records."""

from typing import TYPE_CHECKING

from throughtime.commands._terminal import say
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
    for line in (str(written.page), written.verdict):
        say(line)
    return 0
