"""Measure forecasts at many cut-offs of a file: `throughtime backtest RUN FILE`."""

from pathlib import Path
from typing import TYPE_CHECKING

from throughtime.commands._terminal import say

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

    from throughtime.runs.tasks.base import Metric

HELP = "Measure a trained model's forecasts at many cut-offs of a file, without training again."


def add_arguments(parser: "ArgumentParser") -> None:
    """Declare the options of `throughtime backtest`."""
    parser.add_argument("run", type=str, metavar="RUN", help="Run folder of a forecast that throughtime train wrote.")
    parser.add_argument("file", type=str, metavar="FILE", help="Series with the columns of RUN.")
    parser.add_argument(
        "--windows",
        type=int,
        default=1,
        metavar="K",
        help="Cut-offs in each series, the last of them H steps before its end.",
    )
    parser.add_argument("--step", type=int, default=1, metavar="S", help="Steps from a cut-off to the next.")
    parser.add_argument(
        "-o",
        "--output",
        type=str,
        default="",
        metavar="OUT",
        help="File of all forecasts: .csv, .jsonl or .parquet (which needs the extra data). An older file is replaced.",
    )


def run(arguments: "Namespace") -> int:
    """Print the metrics over all cut-offs and by step ahead, and write the forecasts."""
    from throughtime.data.writing import check_output, write_table
    from throughtime.errors import UnsupportedError
    from throughtime.runs.checkpoints import load_run
    from throughtime.runs.evaluation import predicted
    from throughtime.runs.predictions import forecasts_of
    from throughtime.runs.tasks.forecast import Forecast
    from throughtime.wording import plural

    if arguments.output:
        check_output(Path(arguments.output))
    task, model, _ = load_run(Path(arguments.run))
    if not isinstance(task, Forecast):
        raise UnsupportedError(f"RUN {arguments.run} has the task {task.name}; only forecasts are backtested.")
    data = task.backtested(arguments.file, arguments.windows, arguments.step)
    for line in data.lines:
        say(line)
    pairs = list(predicted(model, data.streams))
    for line in task.result_lines(task.metrics(pairs), data.baselines):
        say(line)
    for line in _table(task.metrics_by_step(pairs)):
        say(line)
    if arguments.output:
        table = forecasts_of(task, pairs, data)
        write_table(Path(arguments.output), table)
        say(f"Written {arguments.output}: {plural(len(next(iter(table.values()))), 'forecast')}.")
    return 0


def _table(by_step: "list[list[Metric]]") -> list[str]:
    """Return a line per step ahead, under a line of the metrics' names."""
    names = [metric.name for metric in by_step[0]]
    widths = [max(len(name), 9) for name in names]
    lines = ["Step  " + "  ".join(name.rjust(width) for name, width in zip(names, widths, strict=True))]
    for step, metrics in enumerate(by_step, start=1):
        values = {metric.name: f"{metric.value:.4g}" for metric in metrics}
        cells = (values.get(name, "").rjust(width) for name, width in zip(names, widths, strict=True))
        lines.append(f"{step:4}  " + "  ".join(cells))
    return lines
