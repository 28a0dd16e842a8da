"""The run folder and its record.

A run is a folder of `config.yaml`, `model.safetensors`, `last.ckpt`, `record.json`, the tables, the diagnoses and the
report. Each file is written aside and renamed, so that a reader finds the new one or the one before.
"""

import json
import shutil
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from throughtime.errors import RunFolderError
from throughtime.files import ASIDE
from throughtime.records.files import RECORD, content, damaged, write_aside
from throughtime.records.flow import DIAGNOSES
from throughtime.records.tables import METRICS, STEP_NORMS, UPDATES

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
    CONFIG, WEIGHTS, CHECKPOINT, METRICS, UPDATES, STEP_NORMS, DIAGNOSES, RECORD, SAMPLES, REPORT,
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
    """The text a run was trained on; sizes in bytes and symbols; the vocabulary in the order of its numbers.

    A vocabulary of bytes is spelled with the characters of these code points.
    """

    file: str
    sha256: str
    bytes: int
    units: str
    encoding: str
    training_symbols: int
    held_out_symbols: int
    vocabulary: str


@dataclass(frozen=True)
class ModelRecord:
    """The shape of the model, enough to build it again."""

    cell: str
    nonlinearity: str
    hidden_size: int
    num_layers: int
    embedding_size: int
    dropout: float
    parameters: int


@dataclass(frozen=True)
class Baselines:
    """What models without memory reach on the held-out text, in nats per symbol."""

    uniform: float
    unigram: float
    bigram: float


@dataclass(frozen=True)
class Results:
    """How well the run did: losses in nats per symbol, time in seconds."""

    updates: int = 0
    epochs: float = 0.0
    best_validation_loss: float | None = None
    best_update: int = 0
    last_validation_loss: float | None = None
    tokens_per_second: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class Record:
    """Everything `record.json` holds."""

    data: DataRecord
    model: ModelRecord
    baselines: Baselines
    reproduce: str
    versions: dict[str, str] = field(default_factory=dict)
    machine: dict[str, str | int] = field(default_factory=dict)
    outcome: Outcome = Outcome.STARTED
    results: Results = Results()
    format: int = FORMAT

    def after(self, outcome: Outcome, results: Results) -> "Record":
        """Return the record with a new outcome and new results."""
        return replace(self, outcome=outcome, results=results)


def write_record(folder: Path, record: Record) -> None:
    """Write `record.json`."""
    write_aside(folder / RECORD, (json.dumps(asdict(record), indent=1) + "\n").encode())


def write_samples(folder: Path, samples: dict[str, str]) -> None:
    """Write `samples.json`: what the model wrote, by the command that made it."""
    write_aside(folder / SAMPLES, (json.dumps(samples, indent=1) + "\n").encode())


def read_samples(folder: Path) -> dict[str, str]:
    """Read `samples.json`, empty where there is none; raises `RunFolderError` when it is damaged."""
    if not (folder / SAMPLES).exists():
        return {}
    try:
        samples = json.loads(content(folder, SAMPLES))
        return {str(name): str(text) for name, text in samples.items()}
    except (ValueError, AttributeError):
        raise damaged(folder / SAMPLES, "delete it, and the report goes without, or restore it") from None


def read_record(folder: Path) -> Record:
    """Read `record.json`.

    Raises:
        RunFolderError: the folder is missing, is no run, was written by another version, or the record is damaged.
    """
    if not folder.is_dir():
        raise RunFolderError(f"RUN {folder} is not a folder; give the folder that throughtime train wrote.")
    written = content(folder, RECORD)
    try:
        values = json.loads(written)
        version = values["format"]
    except (ValueError, KeyError, TypeError):
        raise damaged(folder / RECORD) from None
    if version != FORMAT:
        raise RunFolderError(
            f"RUN {folder} has format {version!r} and this throughtime reads format {FORMAT}: use the throughtime "
            f"that wrote it ({values.get('versions', {}).get('throughtime', 'version unknown')}), or train anew."
        )
    try:
        return _record(values)
    except (ValueError, KeyError, TypeError):
        raise damaged(folder / RECORD) from None


def prepare_folder(folder: Path, overwrite: bool) -> None:
    """Make an empty run folder; with `overwrite`, a run that is there is removed, but never any other file.

    Raises:
        RunFolderError: the folder holds a run (without `overwrite`) or other files, or cannot be made.
    """
    present = {entry.name.removesuffix(ASIDE) for entry in _entries(folder)}
    if RECORD in present and not overwrite:
        raise RunFolderError(
            f"--output {folder} already holds a run: give another folder, or --overwrite to replace it, "
            "or go on with it through --resume."
        )
    if foreign := sorted(present - set(RUN_FILES)):
        raise RunFolderError(f"--output {folder} holds other files ({foreign[0]}, ...): give a folder of its own.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for entry in _entries(folder):
            if entry.name == TENSORBOARD and entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
    except OSError as error:
        raise RunFolderError(f"--output {folder} cannot be prepared: {error.strerror}.") from None


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunFolderError(f"--output {folder} cannot be used as a folder: {error.strerror}.") from None


def _record(values: dict[str, Any]) -> Record:
    parts = {
        "data": DataRecord(**values["data"]),
        "model": ModelRecord(**values["model"]),
        "baselines": Baselines(**values["baselines"]),
        "results": Results(**values["results"]),
        "outcome": Outcome(values["outcome"]),
    }
    return Record(**{**values, **parts})
