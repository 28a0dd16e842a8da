"""Train a model on a file: `throughtime train FILE`."""

from argparse import SUPPRESS
from datetime import datetime
from functools import partial
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from throughtime.commands._spelling import spelled, typed
from throughtime.commands._terminal import say
from throughtime.errors import ArgumentError, UnsupportedError
from throughtime.runs.choice import USUAL, groups, kind_of, settings_from
from throughtime.runs.settings import RunSettings
from throughtime.runs.tasks.base import Task

if TYPE_CHECKING:
    from collections.abc import Callable

    from jsonargparse import ArgumentParser, Namespace

    from throughtime.records import Record
    from throughtime.runs.diagnoses import Diagnose
    from throughtime.runs.model import SequenceModel

WIDTH = 110
"""Characters of a printed line."""

HELP = "Train a recurrent network on the data in a file."

_MORE = """\
The content of the file decides how it is read, and --target names the column to predict; --task text reads any file
as plain text. The data are read in --batch-size parallel streams. Each update of the weights covers --update-every
time steps; the hidden state is carried on to the next update. Ctrl-C saves and stops; --resume continues. The run
folder holds config.yaml, model.safetensors, last.ckpt, metrics.csv, updates.csv, step_norms.csv (the gradient by time
step), diagnosis.json, samples.json, record.json, and report.html with its numbers, report.json."""


def add_arguments(parser: "ArgumentParser") -> None:
    """Declare the options of `throughtime train`."""
    from jsonargparse import ActionYesNo

    parser.description = f"{HELP} {_MORE}"
    parser.add_argument(
        "file",
        nargs="?",
        type=str,
        default=SUPPRESS,  # any other default would replace the file that --config names
        help="Data file to train on; the word pydoc stands for a text, Python's language reference.",
    )
    parser.add_argument(
        "--config", action="config", help="Take options from this config.yaml; options on the command line win."
    )
    parser.add_argument("--output", type=str, default="", help="Run folder to write. Default: runs/NAME-DATE-TIME.")
    parser.add_argument("--overwrite", action="store_true", help="Replace the run in --output.")
    parser.add_argument(
        "--resume",
        type=str,
        default="",
        metavar="RUN",
        help="Continue this run with its settings; a finished run needs a larger --epochs.",
    )
    parser.add_argument("--follow", action="store_true", help="With --online: when FILE ends, wait until it grows.")
    known = [entry.name for _, _, entries in groups() for entry, _, _ in entries]
    for title, _, entries in groups():
        group = parser.add_argument_group(title)
        for entry, hint, told in entries:
            shown = "" if hint is bool or entry.default in ("", None) else " (%(default)s)"
            text = spelled(told.help, known) + shown
            if hint is bool:  # --flag and --no-flag, so that an option can undo what --config says
                group.add_argument(
                    typed(entry.name), action=ActionYesNo(no_prefix="no-"), default=entry.default, help=text
                )
            else:
                group.add_argument(typed(entry.name), type=hint, default=entry.default, help=text)


def run(arguments: "Namespace") -> int:
    """Start or resume a run, and print the result."""
    if "file" not in arguments:
        raise ArgumentError(
            "file", "is missing", "it must be a data file", "give its path, or the word pydoc for Python's reference"
        )
    settings = settings_from(_with_task(vars(arguments)))
    if arguments.resume and (arguments.output or arguments.overwrite):
        raise ArgumentError(
            "resume", "came with `output` or `overwrite`", "a run continues in its folder", "leave both out"
        )
    from throughtime.runs.engine import resume, start

    tell, follow = _telling(arguments), arguments.follow
    folder = Path(arguments.resume or arguments.output or _default_folder(settings.file))
    close = None if settings.optimization.online else partial(_close_passes, folder, tell)
    if arguments.resume:
        record = resume(settings, folder, tell, _diagnose(settings), follow, close=close)
    else:
        record = start(
            settings, folder, arguments.overwrite, tell, diagnose=_diagnose(settings), follow=follow, close=close
        )
    if record is not None:
        _tell_next(folder)
    return 0


def _with_task(values: dict[str, Any]) -> dict[str, Any]:
    """Return options with the task that the file stands for, where a run in passes names none."""
    if values["task"] or values["online"] or values["resume"]:
        return values
    from throughtime.runs.tasks.inference import inferred_task

    name, reason = inferred_task(values["file"], values)
    if name == USUAL[False]:
        return values
    say(f"Task    {name}: {reason}")
    return {**values, "task": name}


def _telling(arguments: "Namespace") -> "Callable[[str], None]":
    return lambda line: say(spelled(line, vars(arguments)))


def _default_folder(file: str) -> str:
    name = "stream" if file == "-" else Path(file).stem
    return f"runs/{name}-{datetime.now():%Y%m%d-%H%M%S}"


def _tell_next(folder: Path) -> None:
    """Print where the run lies, and the next commands."""
    from throughtime.runs.config import read_config

    settings = read_config(folder)
    sample = [f"  throughtime sample {folder} --length 1000"] if _draws_samples(kind_of(settings)) else []
    evaluate = [] if settings.optimization.online else [f"  throughtime evaluate {folder} FILE"]
    more = "" if settings.optimization.online else f" --epochs {settings.optimization.epochs * 2}"
    for line in (
        f"The run is in {folder}. Next:",
        *sample,
        *evaluate,
        f"  throughtime train --resume {folder}{more}",
    ):
        say(line)


def _draws_samples(kind: type[Task]) -> bool:
    return kind.samples is not Task.samples


def _close_passes(folder: Path, tell: "Callable[[str], None]", record: "Record") -> None:
    """Print the result of a run in passes and a sample, and write samples.json and the report."""
    from throughtime.records import write_samples
    from throughtime.report.run import read_run
    from throughtime.report.standing import standing
    from throughtime.runs.checkpoints import load_run
    from throughtime.runs.config import read_config
    from throughtime.runs.recording.sentences import closing_lines

    task, model, _ = load_run(folder)
    epochs = read_config(folder, type(task)).optimization.epochs
    run = read_run(folder)
    for line in closing_lines(task, record, epochs, run.metrics):
        tell(line)
    stands = standing(folder, record, run.metrics, run.updates, run.flows)
    for sentence in stands.limits:
        say("\n".join(wrap(f"Limits  {sentence}", WIDTH, subsequent_indent=" " * 8, break_on_hyphens=False)))
    for step in stands.advice:  # not wrapped: it may hold a command to copy
        say(f"To do   {step}")
    if text := _sample(task, model):
        sample = f"throughtime sample {folder} --temperature 0.8"
        say(f"A sample ({sample}):")
        say("\n".join(f"  | {line}" for line in text.splitlines()))
        say("")
        write_samples(folder, {sample: text})
    for line in _report(folder, task):
        say(line)


def _sample(task: Task, model: "SequenceModel", length: int = 240) -> str:
    """Return a sample; empty where the task draws none."""
    import torch

    try:
        return "".join(task.samples(model, "", length, 0.8, torch.Generator().manual_seed(0)))
    except UnsupportedError:
        return ""


def _diagnose(settings: RunSettings) -> "Diagnose":
    from throughtime.runs.diagnoses import diagnose_data, reach

    return lambda task, model, data: diagnose_data(task, model, data, reach(settings.optimization))


def _report(folder: Path, task: Task) -> list[str]:
    """Write the report; return a line with its path, or the reason why not."""
    from throughtime.report import report_of_run

    try:
        written = report_of_run(folder, figures=task.figures)
    except UnsupportedError as error:  # what it is drawn with is not installed
        return [f"Report  {error}"]
    return [f"Report  {written.page}"]
