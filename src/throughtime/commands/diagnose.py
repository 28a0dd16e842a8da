"""Follow a model's gradient through time and judge it: `throughtime diagnose RUN|DATA`."""

import shlex
from argparse import SUPPRESS
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from throughtime.commands._spelling import spelled, typed
from throughtime.commands._terminal import progress, say
from throughtime.errors import ArgumentError, InputFileError, RunFolderError
from throughtime.records import RECORD
from throughtime.runs.choice import groups, settings_from
from throughtime.runs.settings import OptimizationSettings, RunSettings
from throughtime.wording import plural

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

    from throughtime.records import Flow, Record
    from throughtime.runs.model import SequenceModel
    from throughtime.runs.tasks.base import Data, Task

HELP = "Follow a model's gradient through time, and write a verdict and a page."

MOST_ROWS = 10_000
"""Largest number of sequences of a diagnosis, whose states are all in memory at once."""

_MORE = """\
RUN is a run folder: its trained model is diagnosed on the held-out data, and its report is written again. DATA is a
file that throughtime train reads: a new, untrained model, as throughtime train would start it, is diagnosed on it."""


def add_arguments(parser: "ArgumentParser") -> None:
    """Declare the options of `throughtime diagnose`."""
    parser.description = f"{HELP} {_MORE}"
    parser.add_argument(
        "run_or_data", type=str, metavar="RUN|DATA", help="Run folder, or data file: by default a text, or pydoc."
    )
    parser.add_argument(
        "--data", type=str, default="", metavar="FILE", help="With RUN: data file in place of the held-out data."
    )
    parser.add_argument(
        "--skip-unknown", action="store_true", help="With RUN: leave out what the model never saw, such as a character."
    )
    parser.add_argument("--steps", type=int, default=200, help="Sequence length in time steps. (%(default)s)")
    parser.add_argument("--rows", type=int, default=16, help="Number of sequences. (%(default)s)")
    parser.add_argument(
        "--lag",
        type=int,
        default=0,
        help="Time steps that the gradient should reach back; vanishing is judged at this lag. 0: the "
        "length of a series with one target; else as far as a longer past lowers the loss, at most --update-every.",
    )
    parser.add_argument(
        "--output", type=str, default="", help="With DATA: path of the page. Default: diagnosis-NAME.html."
    )
    parser.add_argument(
        "--seed", type=int, default=SUPPRESS, help="With DATA: random seed of the new model's weights. (0)"
    )
    known = _model_options()
    for title, kind, entries in groups():
        if kind is OptimizationSettings:
            continue
        group = parser.add_argument_group(f"{title} (with DATA only)")
        for entry, hint, told in entries:
            if entry.name not in known:
                continue
            shown = "" if entry.default in ("", None) else f" ({entry.default})"
            text = spelled(told.help, known) + shown
            group.add_argument(typed(entry.name), type=hint, default=SUPPRESS, help=text)


def run(arguments: "Namespace") -> int:
    """Diagnose, write, and print the verdict."""
    for name in ("steps", "rows"):
        if getattr(arguments, name) < 1:
            raise ArgumentError(name, f"is {getattr(arguments, name)}", "it must be at least 1")
    if arguments.rows > MOST_ROWS:
        raise ArgumentError("rows", f"is {arguments.rows}", f"it must be at most {MOST_ROWS}")
    if not 0 <= arguments.lag <= arguments.steps:
        raise ArgumentError("lag", f"is {arguments.lag}", f"it must be from 0 to `steps`, {arguments.steps}")
    subject = Path(arguments.run_or_data)
    if not (subject.exists() or arguments.run_or_data == "pydoc"):
        raise InputFileError(
            f"RUN or DATA is {subject}, which does not exist; give a run folder, a data file, or the word pydoc."
        )
    if subject.is_dir() and not (subject / RECORD).exists():
        raise RunFolderError(
            f"RUN or DATA is {subject}, a folder without {RECORD}; give a run folder that throughtime train wrote, "
            "or a data file."
        )
    return _diagnose_run(arguments) if subject.is_dir() else _diagnose_new_model(arguments)


def _diagnose_run(arguments: "Namespace") -> int:
    """Diagnose the trained model of a run, and write its report again."""
    from throughtime.records import only_writer

    _refuse(arguments, ["output", "seed", *_model_options()], "for a new model, and RUN holds a trained model")
    folder = Path(arguments.run_or_data)
    with only_writer(folder):  # a training would replace the diagnosis by its own
        _diagnose_in(folder, arguments)
    return 0


def _diagnose_in(folder: Path, arguments: "Namespace") -> None:
    from throughtime.records import write_flows
    from throughtime.report import report_of_run
    from throughtime.report.run import read_run
    from throughtime.report.standing import standing
    from throughtime.runs.checkpoints import load_run
    from throughtime.runs.config import read_config

    task, model, record = load_run(folder)
    settings = read_config(folder, type(task))
    data = _data_of_run(folder, arguments, task, record, settings)
    earlier = _earlier(folder)
    update = record.results.best_update
    flow = replace(_diagnosed(task, model, data, arguments, settings.optimization), update=update)
    write_flows(
        folder,
        sorted([*(other for other in earlier if other.update != update), flow], key=lambda other: other.update or 0),
    )
    run = read_run(folder)
    _tell(flow, standing(folder, record, run.metrics, run.updates, run.flows).advice)
    say(f"Page    {report_of_run(folder, figures=task.figures).page}")


def _earlier(folder: Path) -> "list[Flow]":
    """Return the run's earlier diagnoses; unreadable diagnoses are replaced."""
    from throughtime.records import DIAGNOSES, read_flows

    if not (folder / DIAGNOSES).exists():
        return []
    try:
        return read_flows(folder)
    except RunFolderError as error:
        say(f"Note    {error} This diagnosis replaces it.")
        return []


def _diagnose_new_model(arguments: "Namespace") -> int:
    """Diagnose an untrained model on data, and write a page."""
    import torch

    from throughtime.report import page_of_flow
    from throughtime.report.written import page_paths
    from throughtime.runs.choice import kind_of
    from throughtime.runs.model import SequenceModel

    _refuse(arguments, ["data", "skip_unknown"], f"for a run, and {arguments.run_or_data} is no folder")
    given = {name: value for name, value in vars(arguments).items() if name in ("seed", *_model_options())}
    settings = settings_from(given | {"file": arguments.run_or_data})
    page = Path(arguments.output or f"diagnosis-{Path(settings.file).stem}.html")
    page_paths(page)
    task = kind_of(settings).fit(settings)
    data = task.read(settings.file)
    torch.manual_seed(settings.optimization.seed)
    model = SequenceModel(task, settings.model)
    flow = replace(_diagnosed(task, model, data, arguments, settings.optimization), update=0)
    shape = {name.replace("_", " "): str(value) for name, value in settings.flat().items() if name in _model_options()}
    about = {"Data": {"file": data.name, "bytes": f"{data.bytes:,}", "SHA-256": data.sha256}, "Model": shape}
    assert flow.finding is not None
    _tell(flow, flow.finding.suggestions)
    written = page_of_flow(flow, page, f"A new model on {Path(data.name).name}", about, _command(arguments))
    say(f"Page    {written.page}")
    return 0


def _data_of_run(folder: Path, arguments: "Namespace", task: "Task", record: "Record", settings: RunSettings) -> "Data":
    """Return the data to diagnose on: a named file, or the run's held-out part."""
    if arguments.data:
        return task.read(arguments.data, skip_unknown=arguments.skip_unknown)
    if not record.data.sha256:
        raise ArgumentError(
            "run_or_data", f"is {folder}", "the run learned online and held out no data", "name a file with `data`"
        )
    data = task.read(record.data.file, skip_unknown=arguments.skip_unknown, held_out_of=settings)
    if data.sha256 != record.data.sha256:
        raise InputFileError(
            f"{record.data.file} is not the file {folder} was trained on (its SHA-256 has changed): restore it, or "
            "name a file with `data`."
        )
    return data


def _command(arguments: "Namespace") -> str:
    """Return the command that writes the same page again."""
    given = [name for name in ("steps", "rows", "lag", "seed", *_model_options()) if name in arguments]
    words = [f"{typed(name)} {shlex.quote(str(getattr(arguments, name)))}" for name in given]
    return " ".join(["throughtime diagnose", shlex.quote(arguments.run_or_data), *words])


def _model_options() -> list[str]:
    """Return the names of the options that decide a new, untrained model."""
    listed = (entries for _, kind, entries in groups() if kind is not OptimizationSettings)
    return [entry.name for entries in listed for entry, _, _ in entries if entry.name != "validation"]


def _refuse(arguments: "Namespace", names: list[str], reason: str) -> None:
    """Refuse options that were given and do not belong to this form of the command."""
    for name in names:
        value = getattr(arguments, name, "")
        if value != "" and value is not False:
            raise ArgumentError(name, f"is {reason}", cure="leave it out")


def _tell(flow: "Flow", advice: Sequence[str]) -> None:
    from throughtime.report.sections import as_sentence

    finding = flow.finding
    assert finding is not None
    say(f"Verdict {as_sentence(finding.sentence)}")
    for suggestion in advice:
        say(f"Try     {suggestion}")


def _diagnosed(
    task: "Task", model: "SequenceModel", data: "Data", arguments: "Namespace", settings: OptimizationSettings
) -> "Flow":
    from throughtime.runs.diagnoses import diagnose_data, reach

    windows = arguments.steps, arguments.rows
    steps, rows = data.windows(*windows).inputs.shape[:2]
    say(f"Following the gradient through {plural(steps, 'time step')} of {plural(rows, 'sequence')} ...")
    try:
        return diagnose_data(task, model, data, reach(settings), arguments.lag, windows, progress)
    finally:
        progress("")
