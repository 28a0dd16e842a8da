"""Whole run: training with its diagnoses, then result, sample and report."""

from functools import partial
from pathlib import Path
from textwrap import wrap

import torch

from throughtime.errors import UnsupportedError
from throughtime.records import Record, read_examination, write_samples
from throughtime.report import report_of_run
from throughtime.report.run import read_run
from throughtime.report.standing import standing
from throughtime.runs.checkpoints import load_run
from throughtime.runs.config import read_config
from throughtime.runs.diagnoses import usual_diagnosis
from throughtime.runs.drivers.base import Say
from throughtime.runs.engine import resume, start
from throughtime.runs.model import SequenceModel
from throughtime.runs.recording.sentences import closing_lines
from throughtime.runs.settings import RunSettings
from throughtime.runs.tasks.base import Task

_WIDTH = 110
"""Width of a printed line."""


def run_whole(
    settings: RunSettings,
    folder: Path,
    tell: Say,
    say: Say,
    *,
    resuming: bool = False,
    overwrite: bool = False,
    follow: bool = False,
    page: bool = True,
) -> Record | None:
    """Train a model as `throughtime train` does, with everything that follows.

    Args:
        settings: the run's settings.
        folder: where it goes, or the run to continue.
        tell: prints a line in which options stand in backticks.
        say: prints a line as it is.
        resuming: continue the run in the folder.
        overwrite: replace a run that is there.
        follow: when the file of a stream ends, wait for it to grow.
        page: of a run in passes, write the report too.

    Returns:
        The record of the finished run, or None when there was nothing left to do.

    Raises:
        InterruptedRunError: a stop signal came; the message says how to go on.
        ThroughtimeError: of the kind that fits, before any work where the arguments are at fault.
    """
    diagnose = usual_diagnosis(settings.optimization)
    close = None if settings.optimization.online else partial(_close_passes, folder, tell, say, page)
    if resuming:
        return resume(settings, folder, tell, diagnose, follow, close=close)
    return start(settings, folder, overwrite, tell, diagnose=diagnose, follow=follow, close=close)


def _close_passes(folder: Path, tell: Say, say: Say, page: bool, record: Record) -> None:
    """Print the result of a run in passes and a sample, and write samples.json and, if asked for, the report."""
    task, model, _ = load_run(folder)
    epochs = read_config(folder, type(task)).optimization.epochs
    run, examination = read_run(folder), read_examination(folder)
    for line in closing_lines(task, record, epochs, run.metrics, examination.metrics if examination else ()):
        tell(line)
    stands = standing(folder, record, run.metrics, run.updates, run.flows)
    for sentence in stands.limits:
        say("\n".join(wrap(f"Limits  {sentence}", _WIDTH, subsequent_indent=" " * 8, break_on_hyphens=False)))
    for step in stands.advice:  # not wrapped: it may hold a command to copy
        say(f"To do   {step}")
    if text := _sample(task, model):
        sample = f"throughtime sample {folder} --temperature 0.8"
        say(f"A sample ({sample}):")
        say("\n".join(f"  | {line}" for line in text.splitlines()))
        say("")
        write_samples(folder, {sample: text})
    for line in _report(folder, task) if page else ():
        say(line)


def _sample(task: Task, model: SequenceModel) -> str:
    """Return a sample; empty where the task draws none."""
    try:
        return "".join(task.samples(model, "", task.sample_length, 0.8, torch.Generator().manual_seed(0)))
    except UnsupportedError:
        return ""


def _report(folder: Path, task: Task) -> list[str]:
    """Write the report; return a line with its path, or the reason why not."""
    try:
        written = report_of_run(folder, figures=task.figures)
    except UnsupportedError as error:  # what it is drawn with is not installed
        return [f"Report  {error}"]
    return [f"Report  {written.page}"]
