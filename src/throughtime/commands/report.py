"""Write the HTML page on a run: `throughtime report RUN`."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from throughtime.commands._terminal import say

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

HELP = "Write a self-contained HTML page on a run, report.html, and its numbers, report.json."


def add_arguments(parser: "ArgumentParser") -> None:
    """Declare the options of `throughtime report`."""
    parser.add_argument("run", type=str, metavar="RUN", help="Run folder that throughtime train wrote.")
    parser.add_argument(
        "--output", type=str, default="", metavar="FILE", help="Path of the page. Default: report.html in RUN."
    )


def run(arguments: "Namespace") -> int:
    """Write the page; print its path and the verdict."""
    from throughtime.records import only_writer, read_record
    from throughtime.report import report_of_run
    from throughtime.runs.choice import task_and_model

    folder = Path(arguments.run)
    task, _ = task_and_model(read_record(folder), folder)
    # Elsewhere than into the run folder a page may be written while the run trains.
    alone = nullcontext() if arguments.output else only_writer(folder, "give `output` for a page so far")
    with alone:
        written = report_of_run(folder, arguments.output or None, figures=task.figures)
    for line in (str(written.page), written.verdict):
        say(line)
    return 0
