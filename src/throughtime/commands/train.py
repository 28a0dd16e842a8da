"""Train a model on a file: `throughtime train FILE`."""

from argparse import SUPPRESS
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from throughtime.commands._spelling import GIVEN, spelled, typed
from throughtime.commands._terminal import say
from throughtime.errors import ArgumentError
from throughtime.runs.choice import groups, kind_of, settings_from
from throughtime.runs.opening import default_folder
from throughtime.runs.tasks.base import Task
from throughtime.runs.tasks.completion import with_task

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

HELP = "Train a recurrent network on the data in a file."

_MORE = """\
The content of the file decides how it is read, and --target names the column to predict; --task text reads any file
as plain text. The data are read in --batch-size parallel streams. Each update of the weights covers --update-every
time steps; the hidden state is carried on to the next update. Ctrl-C saves and stops; --resume continues. The run
folder holds config.yaml, model.safetensors, last.ckpt, metrics.csv, updates.csv, step_norms.csv (the gradient by time
step), diagnosis.json, examination.json, samples.json, record.json, and report.html with its numbers, report.json."""


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
    parser.add_argument(
        "--dry-run", action="store_true", help="Print what was understood of FILE and what was chosen, and stop there."
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

    def tell(line: str) -> None:
        say(spelled(line, vars(arguments)))

    values = vars(arguments)
    if values["start_from"] and not values["resume"]:
        from throughtime.runs.starting import like_start

        values = like_start(values)
    values, held = with_task(values, arguments[GIVEN], arguments.file, tell)
    settings = replace(settings_from(values), held=held)
    if arguments.resume and arguments.dry_run:
        raise ArgumentError("dry_run", "came with `resume`", "it is for a new run", "leave one out")
    if arguments.resume and (arguments.output or arguments.overwrite):
        raise ArgumentError(
            "resume", "came with `output` or `overwrite`", "a run continues in its folder", "leave both out"
        )
    from throughtime.runs.whole import run_whole

    name = "stream" if settings.file == "-" else Path(settings.file).stem
    folder = Path(arguments.resume or arguments.output or default_folder(name))
    if arguments.dry_run:
        from throughtime.runs.engine import preview

        preview(settings, folder, tell)
        tell("Nothing was trained or written; without `dry_run` this run begins.")
        return 0
    record = run_whole(
        settings,
        folder,
        tell,
        say,
        resuming=bool(arguments.resume),
        overwrite=arguments.overwrite,
        follow=arguments.follow,
    )
    if record is not None:
        _tell_next(folder)
    return 0


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
