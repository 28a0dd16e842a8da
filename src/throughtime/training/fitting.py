"""Fit a model to data: the command `throughtime train`, in Python."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from throughtime.data.dataset import DataLike, Dataset, read
from throughtime.data.names import full_path, in_memory
from throughtime.errors import ArgumentError, ArgumentTypeError
from throughtime.runs.choice import kind_of, settings_from
from throughtime.runs.interruption import InterruptedRunError, go_on
from throughtime.runs.opening import default_folder
from throughtime.runs.settings import RunSettings
from throughtime.runs.starting import like_start
from throughtime.runs.tasks.completion import with_task
from throughtime.runs.tasks.of_series import SeriesTask
from throughtime.training.options import FitOptions
from throughtime.training.process import settled_process, with_extra
from throughtime.training.trained import TrainedRun, load

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def fit(
    data: DataLike,
    labels: ArrayLike | Sequence[Any] | None = None,
    *,
    task: str = "",
    folder: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    resume: str | os.PathLike[str] | None = None,
    verbose: bool = False,
    **options: Unpack[FitOptions],
) -> TrainedRun:
    """Train a model on data, as `throughtime train` does.

    A tenth of the data is held out for validation, and the weights of the best validation are kept. The run folder has
    everything but the page, which takes longer than a small training and which `TrainedRun.report` writes. The state
    of torch's random numbers and its number of threads are afterwards what they were.

    Args:
        data: what `tt.data.read` returned or takes; of a path, a text too.
        labels: of arrays, a class or a number per series or per step.
        task: what is learned, such as "classify"; "" for what the data stand for.
        folder: the run folder; None: runs/NAME-DATE-TIME.
        overwrite: replace a run that is in `folder`.
        resume: continue the run in this folder, on the same data; a finished run needs more `epochs`.
        verbose: print what the command prints; without it a terminal shows a progress bar.
        options: the options of the command, by their names with underscores.

    Returns:
        The run, with the best weights.

    Raises:
        ArgumentError: an option that is none, is out of range, or does not fit the others or the data.
        InputFileError: the data cannot be read or trained on.
        RunFolderError: the folder holds a run or other files, or is none to continue.
        UnsupportedError: the extra `train` is not installed.
        InterruptedRunError: Ctrl-C; what was trained is saved, and `resume` goes on.
    """
    _check_options(options)
    say = _print if verbose else _silent
    source = _source(data, labels, options)
    given = {**_roles_of(source), **options}
    if resume is not None:
        if folder is not None or overwrite:
            came = "came with `folder` or `overwrite`"
            raise ArgumentError("resume", came, "a run continues in its folder", "leave both out")
        place = Path(resume)
        named = {"task": task} if task else {}
        settings = _continued(place, {**given, **named, "file": _name_of(source)})
    else:
        values = {"file": _name_of(source), "task": task, "online": False, "resume": "", **given}
        if given.get("start_from"):
            values = like_start(values)
        content = source if isinstance(source, str) else source.content
        values, held = with_task(values, given, content, say)
        settings = replace(settings_from(values), held=held)
        place = Path(folder) if folder is not None else default_folder(_short(source))
    _check_task(settings, source)
    if isinstance(source, Dataset) and settings.held is None:
        settings = replace(settings, held=source.content)
    whole = with_extra("throughtime.runs.whole")
    with settled_process(), _going_on_from_python(place):
        whole.run_whole(settings, place, say, say, resuming=resume is not None, overwrite=overwrite, page=False)
    return load(place)


@contextmanager
def _going_on_from_python(folder: Path) -> Iterator[None]:
    """Have the error of an interrupted run name the call that goes on, in place of the command."""
    try:
        yield
    except InterruptedRunError as stop:
        call = f"go on with: tt.training.fit(data, resume={str(folder)!r})"
        raise InterruptedRunError(str(stop).replace(go_on(folder), call)) from None


def _print(line: str) -> None:
    print(line, flush=True)


def _silent(line: str) -> None:
    pass


def _check_options(options: Mapping[str, Any]) -> None:
    known = list(FitOptions.__annotations__)
    for name in options:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            cure = f"did you mean {close[0]}?" if close else "throughtime train --help lists the options"
            raise ArgumentTypeError(name, "is no option", "fit takes those of throughtime train by their names", cure)


def _source(data: DataLike, labels: Any, options: Mapping[str, Any]) -> str | Dataset:
    """Return data in memory as a data set, and a path as it is, which the task reads."""
    form = {name: options[name] for name in ("format", "layout") if name in options}
    if isinstance(data, Dataset):
        for name in ["labels"] * (labels is not None) + list(form):
            raise ArgumentError(name, "came with a Dataset", "it has been read", f"give `{name}` to tt.data.read")
        return data
    return str(data) if isinstance(data, str | Path) and labels is None else read(data, labels, **form)


def _roles_of(source: str | Dataset) -> dict[str, str]:
    """Return what a data set knows of its columns, as options."""
    if isinstance(source, str):
        return {}
    roles = {name: ",".join(names) for name, names in source.roles.named().items() if names}
    return {name: text for name, text in {**roles, "format": source.format, "layout": source.layout}.items() if text}


def _name_of(source: str | Dataset) -> str:
    return source if isinstance(source, str) else full_path(source.name)


def _short(source: str | Dataset) -> str:
    """Return the name that the run folder takes from the data."""
    name = source if isinstance(source, str) else source.name
    return name.strip("<>").rpartition(".")[2].lower() if in_memory(name) else Path(name).stem


def _continued(folder: Path, options: Mapping[str, Any]) -> RunSettings:
    """Return the settings of a run to continue, with options changed."""
    before = with_extra("throughtime.runs.config").read_config(folder)
    return settings_from({**before.flat(), **options}, kind_of(before))


def _check_task(settings: RunSettings, source: str | Dataset) -> None:
    kind = kind_of(settings)
    if isinstance(source, Dataset) and not issubclass(kind, SeriesTask):
        raise ArgumentError(
            "task", f"is {kind.name}", "data in memory are series, which it does not read", "give a path"
        )
