"""throughtime diagnose RUN | DATA: where the gradient of a model vanishes or explodes, in a page one can look at."""

import shlex
from argparse import SUPPRESS
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from throughtime.commands._terminal import progress, say
from throughtime.errors import ArgumentError, InputFileError, RunFolderError
from throughtime.training.settings import DataSettings, ModelSettings, RunSettings, options
from throughtime.wording import plural

if TYPE_CHECKING:
    import numpy as np
    from jsonargparse import ArgumentParser, Namespace
    from numpy.typing import NDArray

    from throughtime.data.text import TextVocabulary
    from throughtime.records import Flow, Record
    from throughtime.training.model import SequenceModel
    from throughtime.training.settings import OptimizationSettings

HELP = "Follow the gradient of a model through time: a verdict, and a page to look at."

_MORE = """\
RUN is a run folder: its trained model is diagnosed on its held-out text, and its report written anew. DATA is a file of
text: a new model, as throughtime train would start it, is diagnosed on it before anything is learned."""


def add_arguments(parser: "ArgumentParser") -> None:
    """Declare the options of `throughtime diagnose`."""
    parser.description = f"{HELP} {_MORE}"
    parser.add_argument("run_or_data", type=str, metavar="RUN|DATA", help="A run folder, or a file of text (or pydoc).")
    parser.add_argument("--text", type=str, default="", help="With RUN: another text than the run's own.")
    parser.add_argument(
        "--skip-unknown", action="store_true", help="With RUN: leave out characters that the model never saw."
    )
    parser.add_argument("--steps", type=int, default=200, help="Steps of the sequences. (%(default)s)")
    parser.add_argument("--rows", type=int, default=16, help="How many sequences. (%(default)s)")
    parser.add_argument(
        "--lag",
        type=int,
        default=0,
        help="How many steps back the gradient is wanted, by which vanishing is judged; 0: half of --update-every, the "
        "mean reach of a loss in training.",
    )
    parser.add_argument("--output", type=str, default="", help="With DATA: the page. Default: diagnosis-NAME.html.")
    parser.add_argument("--seed", type=int, default=SUPPRESS, help="With DATA: seed of the new model's weights. (0)")
    for title, kind in (("data", DataSettings), ("model", ModelSettings)):
        group = parser.add_argument_group(f"{title} (with DATA only)")
        for entry, hint in options(kind):
            if entry.name != "validation":
                flag = "--" + entry.name.replace("_", "-")
                group.add_argument(
                    flag, type=hint, default=SUPPRESS, help=f"{entry.metadata['help']} ({entry.default})"
                )


def run(arguments: "Namespace") -> int:
    """Diagnose, write, and print the verdict."""
    for name in ("steps", "rows"):
        if getattr(arguments, name) < 1:
            raise ArgumentError(f"--{name} is {getattr(arguments, name)}; it must be at least 1.")
    if not 0 <= arguments.lag <= arguments.steps:
        raise ArgumentError(f"--lag is {arguments.lag}; it must be at most --steps, {arguments.steps}, or 0.")
    subject = Path(arguments.run_or_data)
    if not (subject.exists() or arguments.run_or_data == "pydoc"):
        raise InputFileError(
            f"RUN or DATA is {subject}, which does not exist; give a run folder, a file of text, or the word pydoc."
        )
    return _run_folder(arguments) if subject.is_dir() else _data(arguments)


def _run_folder(arguments: "Namespace") -> int:
    from throughtime.records import write_flows
    from throughtime.report import report_of_run
    from throughtime.training.checkpoints import load_run

    _refuse(arguments, ["output", "seed", *_model_options()], "for a new model, and RUN has one of its own")
    folder = Path(arguments.run_or_data)
    model, vocabulary, record = load_run(folder)
    codes, settings = _text_of_run(folder, arguments, vocabulary, record)
    earlier = _earlier(folder)
    update = record.results.best_update
    flow = replace(_diagnosed(model, codes, arguments, settings), update=update)
    write_flows(
        folder, sorted([*(one for one in earlier if one.update != update), flow], key=lambda one: one.update or 0)
    )
    _tell(flow)
    say(f"Page    {report_of_run(folder).page}")
    return 0


def _earlier(folder: Path) -> "list[Flow]":
    """The diagnoses that the run has; those that cannot be read are replaced by the one that is asked for."""
    from throughtime.records import DIAGNOSES, read_flows

    if not (folder / DIAGNOSES).exists():
        return []
    try:
        return read_flows(folder)
    except RunFolderError as error:
        say(f"Note    {error} This diagnosis replaces it.")
        return []


def _data(arguments: "Namespace") -> int:
    import torch

    from throughtime.report import page_of_flow
    from throughtime.report.run import page_paths
    from throughtime.training.material import read_symbols
    from throughtime.training.model import SequenceModel

    _refuse(arguments, ["text", "skip_unknown"], f"for a run, and {arguments.run_or_data} is no folder")
    given = vars(arguments)
    defaults = RunSettings(arguments.run_or_data).flat()
    settings = RunSettings.from_flat({name: given.get(name, value) for name, value in defaults.items()} | {
        "file": arguments.run_or_data, "seed": given.get("seed", 0)
    })  # fmt: skip
    file, vocabulary, codes = read_symbols(settings)
    page = Path(arguments.output or f"diagnosis-{Path(file.name).stem}.html")
    try:
        page_paths(page)
    except ArgumentError as error:
        raise ArgumentError(f"--{error}") from None
    torch.manual_seed(settings.optimization.seed)
    model = SequenceModel(len(vocabulary), settings.model)
    flow = replace(_diagnosed(model, codes, arguments, settings.optimization), update=0)
    shape = {
        entry.name.replace("_", " "): str(getattr(settings.model, entry.name)) for entry, _ in options(ModelSettings)
    }
    about = {"Text": {"file": file.name, "bytes": f"{len(file.content):,}", "SHA-256": file.sha256}, "Model": shape}
    _tell(flow)
    written = page_of_flow(flow, page, f"A new model on {Path(file.name).name}", about, _command(arguments))
    say(f"Page    {written.page}")
    return 0


def _text_of_run(
    folder: Path, arguments: "Namespace", vocabulary: "TextVocabulary", record: "Record"
) -> "tuple[NDArray[np.int32], OptimizationSettings]":
    """The text to diagnose on, and how the run was trained."""
    from throughtime.data.text import split
    from throughtime.training.material import read_known
    from throughtime.training.run import read_config

    settings = read_config(folder)
    if arguments.text:
        return read_known(arguments.text, vocabulary, record.data.encoding, arguments.skip_unknown)[
            1
        ], settings.optimization
    if not record.data.sha256:
        raise ArgumentError(f"RUN {folder} learned online, with no text held out: name a text with --text.")
    file, codes, _ = read_known(record.data.file, vocabulary, record.data.encoding, arguments.skip_unknown)
    if file.sha256 != record.data.sha256:
        raise InputFileError(
            f"{record.data.file} is not the text {folder} was trained on (its SHA-256 has changed): restore it, or "
            "name a text with --text."
        )
    return split(codes, settings.data.validation)[1], settings.optimization


def _command(arguments: "Namespace") -> str:
    """The command that makes the same page again."""
    given = [name for name in ("steps", "rows", "lag", "seed", *_model_options()) if name in arguments]
    words = [f"--{name.replace('_', '-')} {shlex.quote(str(getattr(arguments, name)))}" for name in given]
    return " ".join(["throughtime diagnose", shlex.quote(arguments.run_or_data), *words])


def _model_options() -> list[str]:
    return [entry.name for kind in (DataSettings, ModelSettings) for entry, _ in options(kind)]


def _refuse(arguments: "Namespace", names: list[str], reason: str) -> None:
    for name in names:
        value = getattr(arguments, name, "")
        if value != "" and value is not False:
            raise ArgumentError(f"--{name.replace('_', '-')} is {reason}: leave it out.")


def _tell(flow: "Flow") -> None:
    from throughtime.report.sections import as_sentence

    finding = flow.finding
    assert finding is not None
    say(f"Verdict {as_sentence(finding.sentence)}")
    for suggestion in finding.suggestions:
        say(f"Try     {suggestion}")


def _diagnosed(
    model: "SequenceModel", codes: "NDArray[np.int32]", arguments: "Namespace", settings: "OptimizationSettings"
) -> "Flow":
    from throughtime.training.diagnosing import diagnose, reach, windows

    chunk = windows(codes, arguments.steps, arguments.rows)
    steps, rows = chunk.inputs.shape
    say(f"Follows the gradient through {plural(steps, 'step')} of {plural(rows, 'row')} ...")
    try:
        return diagnose(model, chunk, arguments.lag or reach(settings), progress)
    finally:
        progress("")
