"""The run folder: what a run writes and what reads it later. No torch here, so that reports stay light.

A run is a folder of `config.yaml`, `model.safetensors`, `last.ckpt`, `metrics.csv` and `record.json`. Each file is
written aside and renamed, so that a reader finds the new one or the one before, never half of one.
"""

import csv
import io
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from throughtime.errors import RunFolderError

FORMAT = 1
"""Version of the folder's layout; a folder of another version is refused."""

CONFIG = "config.yaml"
WEIGHTS = "model.safetensors"
CHECKPOINT = "last.ckpt"
METRICS = "metrics.csv"
RECORD = "record.json"
RUN_FILES = (CONFIG, WEIGHTS, CHECKPOINT, METRICS, RECORD, "report.html")
_ASIDE = ".partial"


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


@dataclass(frozen=True)
class MetricsRow:
    """One line of `metrics.csv`, written at a validation; the training columns are means since the line before.

    Losses are in nats per symbol, the gradient norm is the one before clipping, `clipped` is the share of updates
    whose gradient was rescaled, `seconds` counts from the start of the run, interruptions left out.
    """

    update: int
    epoch: float
    train_loss: float
    validation_loss: float
    learning_rate: float
    gradient_norm: float
    clipped: float
    tokens_per_second: float
    seconds: float


def write_aside(path: Path, content: bytes) -> None:
    """Put `content` at `path` so that a crash or a full disk leaves the previous file readable.

    Raises:
        RunFolderError: the system refused; the file at `path` is still the previous one.
    """
    aside = path.with_name(path.name + _ASIDE)
    try:
        with aside.open("wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        aside.replace(path)
    except OSError as error:
        _remove_quietly(aside)
        kept = f"the previous {path.name} is kept" if path.exists() else "nothing is left half-written"
        raise RunFolderError(
            f"Writing {path} failed ({error.strerror or error}); {kept}: make room or mend the folder, then repeat "
            f"the command or go on with: throughtime train --resume {path.parent}"
        ) from error


def write_record(folder: Path, record: Record) -> None:
    """Write `record.json`."""
    write_aside(folder / RECORD, (json.dumps(asdict(record), indent=1) + "\n").encode())


def write_metrics(folder: Path, rows: Iterable[MetricsRow]) -> None:
    """Write `metrics.csv`, one line per validation."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [entry.name for entry in fields(MetricsRow)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    write_aside(folder / METRICS, text.getvalue().encode())


def read_metrics(folder: Path) -> list[MetricsRow]:
    """Read `metrics.csv`; raises `RunFolderError` when it is missing or damaged."""
    kinds: dict[str, Any] = {entry.name: entry.type for entry in fields(MetricsRow)}
    with io.StringIO(_content(folder, METRICS).decode("utf-8", "replace"), newline="") as text:
        try:
            return [
                MetricsRow(**{key: kinds[key](value) for key, value in row.items()}) for row in csv.DictReader(text)
            ]
        except (KeyError, TypeError, ValueError):
            raise _damaged(folder / METRICS) from None


def read_record(folder: Path) -> Record:
    """Read `record.json`.

    Raises:
        RunFolderError: the folder is missing, is no run, was written by another version, or the record is damaged.
    """
    if not folder.is_dir():
        raise RunFolderError(f"RUN {folder} is not a folder; give the folder that throughtime train wrote.")
    content = _content(folder, RECORD)
    try:
        values = json.loads(content)
        version = values["format"]
    except (ValueError, KeyError, TypeError):
        raise _damaged(folder / RECORD) from None
    if version != FORMAT:
        raise RunFolderError(
            f"RUN {folder} has format {version!r} and this throughtime reads format {FORMAT}: use the throughtime "
            f"that wrote it ({values.get('versions', {}).get('throughtime', 'version unknown')}), or train anew."
        )
    try:
        return _record(values)
    except (ValueError, KeyError, TypeError):
        raise _damaged(folder / RECORD) from None


def prepare_folder(folder: Path, overwrite: bool) -> None:
    """Make an empty run folder; with `overwrite`, a run that is there is removed, but never any other file.

    Raises:
        RunFolderError: the folder holds a run (without `overwrite`) or other files, or cannot be made.
    """
    present = {entry.name.removesuffix(_ASIDE) for entry in _entries(folder)}
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


def _content(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except FileNotFoundError:
        raise RunFolderError(
            f"RUN {folder} has no {name}, so it is not a run or its training was stopped before it was written: "
            "give a folder that throughtime train wrote."
        ) from None
    except OSError as error:
        raise RunFolderError(f"{folder / name} cannot be read: {error.strerror}.") from None


def _damaged(path: Path) -> RunFolderError:
    return RunFolderError(f"{path} is damaged: it is not what throughtime writes; train anew or restore the file.")


def _remove_quietly(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return
