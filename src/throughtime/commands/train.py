"""throughtime train FILE: from a file of text to a trained model."""

from argparse import SUPPRESS
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from throughtime.commands._terminal import say
from throughtime.errors import ArgumentError, UnsupportedError
from throughtime.training.settings import GROUPS, RunSettings, options

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

    from throughtime.records import Record
    from throughtime.training.diagnoses import Diagnose

HELP = "Train a recurrent network on a file of text."

_EXAMPLES = """\
The text is cut into streams that are read side by side; the weights are updated every --update-every steps and the
state is carried on. Ctrl-C saves and stops; --resume goes on. What is written: config.yaml, model.safetensors,
last.ckpt, metrics.csv, updates.csv, step_norms.csv (the gradient by step), diagnosis.json, samples.json, record.json,
and report.html with its numbers, report.json."""


def add_arguments(parser: "ArgumentParser") -> None:
    """Declare the options of `throughtime train`."""
    from jsonargparse import ActionYesNo

    parser.description = f"{HELP} {_EXAMPLES}"
    parser.add_argument(
        "file",
        nargs="?",
        type=str,
        default=SUPPRESS,  # any other default would replace the file that --config names
        help="A file of text; or pydoc, Python's own language reference, which needs no file.",
    )
    parser.add_argument("--config", action="config", help="A run's config.yaml; options given besides it win.")
    parser.add_argument("--output", type=str, default="", help="The run folder. Default: runs/NAME-DATE-TIME.")
    parser.add_argument("--overwrite", action="store_true", help="Replace the run in --output.")
    parser.add_argument(
        "--resume",
        type=str,
        default="",
        metavar="RUN",
        help="Go on with this run, with its own settings; more --epochs continue a finished one.",
    )
    parser.add_argument("--follow", action="store_true", help="With --online: when FILE ends, wait for it to grow.")
    for title, kind in GROUPS.items():
        group = parser.add_argument_group(title)
        for entry, hint in options(kind):
            flag = "--" + entry.name.replace("_", "-")
            shown = "" if hint is bool or entry.default == "" else " (%(default)s)"
            text = entry.metadata["help"] + shown
            if hint is bool:  # --flag and --no-flag, so that an option can undo what --config says
                group.add_argument(flag, action=ActionYesNo(no_prefix="no-"), default=entry.default, help=text)
            else:
                group.add_argument(flag, type=hint, default=entry.default, help=text)


def run(arguments: "Namespace") -> int:
    """Train, or go on training, and tell what came of it."""
    if "file" not in arguments:
        raise ArgumentError("FILE is missing: give a file of text, or the word pydoc for Python's own reference.")
    settings = RunSettings.from_flat(vars(arguments))
    if arguments.follow and not settings.optimization.online:
        raise ArgumentError("--follow waits for a file to grow, which is for --online: give that too, or leave it out.")
    if arguments.resume:
        return _resume(settings, arguments)
    if settings.optimization.online:
        from throughtime.training.online import start_online

        folder = Path(arguments.output or _default_folder(settings.file))
        start_online(settings, folder, arguments.overwrite, arguments.follow, say)
        return 0
    from throughtime.training.run import start

    folder = Path(arguments.output or _default_folder(settings.file))
    record = start(settings, folder, arguments.overwrite, say, diagnose=_diagnose(settings))
    _tell(folder, record, settings)
    return 0


def _resume(settings: RunSettings, arguments: "Namespace") -> int:
    from throughtime.training.run import resume

    folder = Path(arguments.resume)
    if arguments.output or arguments.overwrite:
        raise ArgumentError("--resume goes on in the run's own folder: leave out --output and --overwrite.")
    if settings.optimization.online:
        from throughtime.training.online import resume_online

        resume_online(settings, folder, arguments.follow, say)
        return 0
    record = resume(settings, folder, say, _diagnose(settings))
    if record is not None:
        _tell(folder, record, settings)
    return 0


def _default_folder(file: str) -> str:
    name = "stream" if file == "-" else Path(file).stem
    return f"runs/{name}-{datetime.now():%Y%m%d-%H%M%S}"


def _tell(folder: Path, record: "Record", settings: RunSettings) -> None:
    from throughtime.records import read_flows, read_metrics, write_samples
    from throughtime.report.sections import as_sentence
    from throughtime.training.sentences import closing_lines

    for line in closing_lines(record, settings.optimization.epochs, read_metrics(folder)):
        say(line)
    finding = read_flows(folder)[-1].finding
    if finding is not None:
        say(f"Gradient {as_sentence(finding.sentence)}")
    sample = f"throughtime sample {folder} --temperature 0.8"
    text = _sample(folder)
    say(f"A sample ({sample}):")
    say("\n".join(f"  | {line}" for line in text.splitlines()))
    say("")
    write_samples(folder, {sample: text})
    for line in (
        *_report(folder),
        f"The run lies in {folder}.",
        f"  throughtime sample {folder} --length 1000",
        f"  throughtime evaluate {folder} FILE",
        f"  throughtime train --resume {folder} --epochs {settings.optimization.epochs * 2}",
    ):
        say(line)


def _sample(folder: Path, length: int = 240) -> str:
    import torch

    from throughtime.training.checkpoints import load_run
    from throughtime.training.sampling import encode_prompt, sample

    model, vocabulary, _ = load_run(folder)
    generator = torch.Generator().manual_seed(0)
    numbers = sample(model, encode_prompt(vocabulary, ""), length, 0.8, generator)
    return vocabulary.decode(numbers).decode("utf-8", "replace")


def _diagnose(settings: RunSettings) -> "Diagnose":
    from throughtime.training.diagnosing import diagnose, reach

    return lambda model, chunk: diagnose(model, chunk, reach(settings.optimization))


def _report(folder: Path) -> list[str]:
    """Write the report; the lines that say where it is, or why it is not."""
    from throughtime.report import report_of_run

    try:
        written = report_of_run(folder)
    except UnsupportedError as error:  # what it is drawn with is not installed
        return [f"Report  {error}"]
    return [f"Report  {written.page}"]
