"""Run folder and record of a run.

A run is a folder of `config.yaml`, `model.safetensors`, `last.ckpt`, `record.json`, the tables, the diagnoses and the
report. Each file is written aside and renamed, so that a reader finds the new one or the one before.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeAlias

from throughtime.errors import RunFolderError
from throughtime.files import ASIDE
from throughtime.records.examination import EXAMINATION
from throughtime.records.files import RECORD, damaged, dictionary, versioned, write_aside
from throughtime.records.flow import DIAGNOSES
from throughtime.records.lock import LOCK, only_writer
from throughtime.records.plain import from_plain
from throughtime.records.ranges import Consistent, Count, FieldError, Finite, Label, NotNegative, Share, Size, shown
from throughtime.records.tables import LEAVE_OUT, METRICS, STEP_NORMS, TABLES, UPDATES, Row, lines_of, read_table
from throughtime.wording import plural, reason_of

FORMAT = 1
"""Version of the folder's layout; a folder of another version is refused."""

CONFIG = "config.yaml"
WEIGHTS = "model.safetensors"
CHECKPOINT = "last.ckpt"
SAMPLES = "samples.json"
REPORT = "report.html"
REPORT_NUMBERS = "report.json"
TENSORBOARD = "tensorboard"
RUN_FILES = (
    CONFIG, WEIGHTS, CHECKPOINT, METRICS, UPDATES, STEP_NORMS, DIAGNOSES, EXAMINATION, RECORD, SAMPLES, REPORT,
    REPORT_NUMBERS, TENSORBOARD,
)  # fmt: skip


class Outcome(StrEnum):
    """How far a run has come."""

    STARTED = "started"
    INTERRUPTED = "interrupted"
    FINISHED = "finished"
    NO_IMPROVEMENT = "stopped without improvement"
    OUT_OF_TIME = "out of time"


@dataclass(frozen=True)
class DataRecord:
    """Data that a run was trained on.

    Attributes:
        file: the data file, "-" for standard input.
        sha256: of the file's bytes; empty for a stream, which has no end.
        encoding: of a text; empty without one.
        bytes: the size of the file, or of the stream so far; 0 where it is not known.
        units: the plural of what is predicted one at a time, such as "characters", "steps" or "series".
        training_symbols, held_out_symbols: targets of both parts, in these units.
        vocabulary: the symbols of a text in the order of their numbers; bytes are spelled with the characters of these
            code points.
    """

    file: str
    sha256: str
    bytes: Count
    units: Label
    encoding: str = ""
    training_symbols: Count = 0
    held_out_symbols: Count = 0
    vocabulary: str = ""

    def of_targets(self, training: int, held_out: int) -> "DataRecord":
        """Return the record with these numbers of targets in both parts."""
        return replace(self, training_symbols=training, held_out_symbols=held_out)


@dataclass(frozen=True)
class ModelRecord:
    """Shape of the model, enough to build it again. `embedding_size` is 0 where nothing is embedded."""

    cell: str
    nonlinearity: str
    hidden_size: Size
    num_layers: Size
    embedding_size: Count = 0
    dropout: Share = 0.0
    parameters: Count = 0


@dataclass(frozen=True)
class Baselines:
    """Losses of guesses without a memory on a held-out text, in nats per symbol."""

    uniform: NotNegative
    unigram: NotNegative
    bigram: NotNegative


BaselinesOf: TypeAlias = Baselines | dict[Label, float]
"""Losses of naive predictions: `Baselines` of tasks of symbols, a dictionary (name → loss) of every other task."""


@dataclass(frozen=True)
class Results(Consistent):
    """Results of a run: losses in the unit of the task, time in seconds.

    `best_update` is the update of `best_validation_loss`, `last_validation_loss` the loss at the latest validation;
    both losses are None before the first.
    `tokens_per_second` counts targets: of a text characters or bytes, of another task what `DataRecord.units` names.
    """

    updates: Count = 0
    epochs: NotNegative = 0.0
    best_validation_loss: Finite | None = None
    best_update: Count = 0
    last_validation_loss: Finite | None = None
    tokens_per_second: NotNegative = 0.0
    seconds: NotNegative = 0.0

    def check(self) -> None:
        """Raise `FieldError` where parts do not fit together."""
        if self.best_update > self.updates:
            raise FieldError(f"is {self.best_update}", f"at most updates, {self.updates}", ".best_update")


@dataclass(frozen=True)
class Record:
    """Everything `record.json` holds.

    Attributes:
        baselines: the losses of naive predictions on the held-out data: of a text `Baselines`, else by name.
        reproduce: the command that trains the same model again.
        versions, machine: by name, of what the run was made with.
        outcome, results: how far the run has come; written anew as it goes on.
        format: the version of the folder's layout, `FORMAT`.
        task: the name of the task; empty in records of version 0.1.0, which know text only.
        facts: what the task needs to predict again beside `data` and `model`, such as columns and scales; plain JSON.
        settings: by option name, those that no continuation may change; empty in records of version 0.1.0.
        loss: the name of the loss, such as "MSE"; empty in records of version 0.1.0.
        loss_unit: the unit of the loss, such as "nats"; empty for none, and in records of version 0.1.0.
        closed: whether all is written that follows the training, such as the report; False from the start until then.
        lines: by file name, how many lines each table had when the record was written, so that a table that was cut
            off is seen; empty in records of before they were counted. `write_record` counts.
    """

    data: DataRecord
    model: ModelRecord
    baselines: BaselinesOf
    reproduce: str
    versions: dict[str, str] = field(default_factory=dict)
    machine: dict[str, str | int] = field(default_factory=dict)
    outcome: Outcome = Outcome.STARTED
    results: Results = Results()
    format: int = FORMAT
    task: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, str | bool | int | float | None] = field(default_factory=dict)
    loss: Label = ""
    loss_unit: Label = ""
    lines: dict[str, Count] = field(default_factory=dict, compare=False)
    closed: bool = True

    @property
    def online(self) -> bool:
        """Whether the run learned from a stream.

        Records of version 0.1.0 do not say it: there a run that held nothing out learned from a stream.
        """
        return bool(self.settings.get("online", self.data.held_out_symbols == 0))

    @property
    def levels(self) -> dict[str, float]:
        """The baselines by name."""
        return named(self.baselines)

    def after(self, outcome: Outcome, results: Results) -> "Record":
        """Return the record with a new outcome and new results, not closed."""
        return replace(self, outcome=outcome, results=results, closed=False)


def named(baselines: BaselinesOf) -> dict[str, float]:
    """Return baselines as a dictionary, whichever form they have."""
    return asdict(baselines) if isinstance(baselines, Baselines) else baselines


def baselines_of(levels: dict[str, float]) -> BaselinesOf:
    """Return `Baselines` where the names are a text's, else the dictionary itself."""
    of_text = {entry.name for entry in fields(Baselines)}
    return Baselines(**levels) if set(levels) == of_text else {str(name): float(loss) for name, loss in levels.items()}


def write_record(folder: Path, record: Record) -> None:
    """Write `record.json`, after the tables, whose lines it counts."""
    counted = replace(record, lines={name: lines_of(folder / name) for name in TABLES if (folder / name).exists()})
    write_aside(folder / RECORD, (json.dumps(asdict(counted), indent=1) + "\n").encode())


def write_samples(folder: Path, samples: dict[str, str]) -> None:
    """Write `samples.json`: command → text that the model wrote."""
    write_aside(folder / SAMPLES, (json.dumps(samples, indent=1) + "\n").encode())


def read_samples(folder: Path) -> dict[str, str]:
    """Read `samples.json`; empty where no file exists. Raises `RunFolderError` where the file is damaged."""
    if not (folder / SAMPLES).exists():
        return {}
    cure = "delete it, and the report goes without, or restore it"
    try:
        return from_plain(dict[str, str], dictionary(folder, SAMPLES, cure))
    except FieldError as misfit:
        raise damaged(folder / SAMPLES, cure, misfit) from None


def read_record(folder: Path) -> Record:
    """Read `record.json`.

    Raises:
        RunFolderError: the folder is missing, is no run, was written by another version, or the record is damaged.
    """
    if not folder.is_dir():
        raise RunFolderError(f"RUN {folder} is not a folder; give the folder that throughtime train wrote.")
    values, version = versioned(folder, RECORD)
    if version != FORMAT:
        versions = values.get("versions")
        writer = versions.get("throughtime") if isinstance(versions, dict) else None
        raise RunFolderError(
            f"RUN {folder} has format {shown(version)} and this throughtime reads format {FORMAT}: use the throughtime "
            f"that wrote it ({'version unknown' if writer is None else shown(writer)}), or train anew."
        )
    try:
        return from_plain(Record, values)
    except FieldError as misfit:
        raise damaged(folder / RECORD, fault=misfit) from None


def read_rows(folder: Path, record: Record, name: str, kind: type[Row]) -> list[Row]:
    """Read a table of a run; no rows where the run has no such file.

    Args:
        folder: the run folder.
        record: its record, which counts the lines.
        name: the file.
        kind: the class of its rows.

    Raises:
        RunFolderError: the table is damaged, or has fewer lines than the record counts.
    """
    if not (folder / name).exists():
        return []
    rows, counted = read_table(folder, name, kind), record.lines.get(name, 0)
    # A run that was killed between its tables and its record has tables that are ahead, and may have thinned one.
    ahead = bool(rows) and rows[-1].update > record.results.updates
    if lines_of(folder / name) < counted and not ahead:
        fault = f"it has {plural(lines_of(folder / name), 'line')}, and {RECORD} counts {counted:,}: it was cut off"
        raise damaged(folder / name, LEAVE_OUT, fault)
    return rows


@contextmanager
def new_folder(folder: Path, overwrite: bool) -> Iterator[None]:
    """Make an empty run folder, and hold its lock.

    With `overwrite`, a run in the folder is removed, but never any other file.

    Raises:
        RunFolderError: the folder holds a run (without `overwrite`) or other files, is in use, or cannot be made.
    """
    _check_vacant(folder, overwrite)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unprepared(folder, error) from None
    with only_writer(folder):
        _check_vacant(folder, overwrite)  # again, as another process may have been faster
        _empty(folder)
        yield


def _empty(folder: Path) -> None:
    """Remove a run, its record first: what is left where this is cut short is no run."""
    try:
        for entry in sorted(_entries(folder), key=lambda entry: entry.name != RECORD):
            if entry.name == TENSORBOARD and entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name != LOCK:
                entry.unlink()
    except OSError as error:
        raise _unprepared(folder, error) from None


def _check_vacant(folder: Path, overwrite: bool) -> None:
    present = {entry.name for entry in _entries(folder)}
    if RECORD in present and not overwrite:
        raise RunFolderError(
            f"`output` {folder} already holds a run: give another folder, or `overwrite` to replace it, "
            "or `resume` to continue it."
        )
    if foreign := sorted({name.removesuffix(ASIDE) for name in present} - {*RUN_FILES, LOCK}):
        raise RunFolderError(f"`output` {folder} holds other files ({foreign[0]}, ...): give a new folder.")


def _unprepared(folder: Path, error: OSError) -> RunFolderError:
    return RunFolderError(f"`output` {folder} cannot be prepared: {reason_of(error)}.")


def _entries(folder: Path) -> list[Path]:
    """Return what lies in the folder; nothing where it does not exist."""
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunFolderError(f"`output` {folder} cannot be used as a folder: {reason_of(error)}.") from None
