"""Predict with a trained model: `throughtime predict RUN DATA -o OUT`."""

from pathlib import Path
from typing import TYPE_CHECKING

from throughtime.commands._terminal import say

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

HELP = "Write a trained model's predictions for a file of series, a row each."


def add_arguments(parser: "ArgumentParser") -> None:
    """Declare the options of `throughtime predict`."""
    parser.add_argument("run", type=str, metavar="RUN", help="Run folder that throughtime train wrote.")
    parser.add_argument(
        "file", type=str, metavar="FILE", help="Series with the columns of RUN; the target may be missing."
    )
    parser.add_argument(
        "-o",
        "--output",
        type=str,
        required=True,
        metavar="OUT",
        help="File to write: .csv, .jsonl or .parquet (which needs the extra data). An existing file is replaced.",
    )
    parser.add_argument(
        "--future",
        type=str,
        default="",
        metavar="FILE",
        help="For forecasts: the columns that RUN knows ahead, for the steps after FILE, by id and time.",
    )


def run(arguments: "Namespace") -> int:
    """Write the predictions, and print how many."""
    from throughtime.data.writing import check_output, write_table
    from throughtime.runs.checkpoints import load_run
    from throughtime.runs.predictions import predictions
    from throughtime.wording import plural

    output = Path(arguments.output)
    check_output(output)
    task, model, _ = load_run(Path(arguments.run))
    data = task.asked(arguments.file, arguments.future)
    for line in data.lines:
        say(line)
    table = predictions(task, model, data)
    write_table(output, table)
    say(f"Written {output}: {plural(len(next(iter(table.values()))), 'prediction')}.")
    return 0
