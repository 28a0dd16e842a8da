"""Measure how well a trained model predicts data: `throughtime evaluate RUN FILE`."""

from pathlib import Path
from typing import TYPE_CHECKING

from throughtime.commands._terminal import say

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

HELP = "Measure how well a trained model predicts the data in a file."


def add_arguments(parser: "ArgumentParser") -> None:
    """Declare the options of `throughtime evaluate`."""
    parser.add_argument("run", type=str, metavar="RUN", help="Run folder that throughtime train wrote.")
    parser.add_argument(
        "file",
        type=str,
        metavar="FILE",
        help="Data file of the kind that RUN was trained on; for a text, also the word pydoc.",
    )
    parser.add_argument(
        "--skip-unknown",
        action="store_true",
        help="Leave out what the model never saw in training, such as a character.",
    )
    parser.add_argument(
        "--part",
        type=str,
        default="",
        help="Part of a file that puts its series in parts: train, valid or test. Default: test, where there is one.",
    )


def run(arguments: "Namespace") -> int:
    """Print the metrics, and those of naive predictions on the same file."""
    from throughtime.runs.checkpoints import load_run
    from throughtime.runs.evaluation import compared, evaluate

    task, model, _ = load_run(Path(arguments.run))
    chosen = {"part": arguments.part} if arguments.part else {}  # which the tasks of others may not know
    data = task.read(arguments.file, skip_unknown=arguments.skip_unknown, **chosen)
    for line in data.lines:
        say(line)
    metrics = compared(evaluate(task, model, data.streams), data.naive_metrics)
    for line in task.result_lines(metrics, data.baselines):
        say(line)
    return 0
