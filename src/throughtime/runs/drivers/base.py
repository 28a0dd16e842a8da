"""Contract of a training loop: in passes over a file, or along a stream."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from throughtime.records import BaselinesOf, DataRecord, Record
from throughtime.runs.interruption import Interruption
from throughtime.runs.model import SequenceModel
from throughtime.runs.settings import RunSettings
from throughtime.runs.tasks.base import Task

Say = Callable[[str], None]
"""Function that prints a line for the user."""


@dataclass(frozen=True)
class Run:
    """Run that is about to be trained: folder, settings, model and first record.

    `interruption` tells the training when to stop.
    """

    folder: Path
    settings: RunSettings
    model: SequenceModel
    record: Record
    interruption: Interruption


class Driver(ABC):
    """Training loop of a run, with the reader of the run's data.

    Attributes:
        settings: those of the run; after `read` with what was chosen for its data.
    """

    settings: RunSettings

    @property
    @abstractmethod
    def task(self) -> Task:
        """Task of the run; known after `read`."""

    @abstractmethod
    def read(self, state: Mapping[str, Any] | None) -> None:
        """Read the data, or check that reading is possible.

        Args:
            state: the checkpoint to go on from; None: the run begins.

        Raises:
            ThroughtimeError: of the kind that fits, where the data cannot be trained on.
        """

    @abstractmethod
    def check_model(self, model: SequenceModel) -> None:
        """Refuse a model that the settings cannot train, before a folder is made."""

    @abstractmethod
    def data_record(self) -> tuple[DataRecord, BaselinesOf]:
        """Return the record's entry on the data, and the losses of naive predictions."""

    @abstractmethod
    def opening_lines(self, record: Record, folder: Path) -> list[str]:
        """Return the first lines of a run, on data, model and length of the training."""

    @abstractmethod
    def check_data(self, record: Record, folder: Path) -> None:
        """Raise `RunFolderError` where the data differ from those of the run to resume."""

    @abstractmethod
    def lasting_of(self, state: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the settings that a checkpoint keeps; empty for version 0.1.0.

        Raises:
            FieldError: the checkpoint is damaged.
        """

    @abstractmethod
    def check_state(self, state: Mapping[str, Any], model: SequenceModel) -> None:
        """Raise `FieldError` where a checkpoint does not fit the data and the model."""

    @abstractmethod
    def train(self, run: Run, checkpoint: Path | None, say: Say) -> Record:
        """Train from the beginning or from a checkpoint, and return the last record.

        Raises:
            InterruptedRunError: a stop signal came; all is saved.
        """
