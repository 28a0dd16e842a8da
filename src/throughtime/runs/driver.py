"""Contract of a way to train: in passes over a file, or along a stream."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from throughtime.records import Baselines, DataRecord, Record
from throughtime.runs.model import SequenceModel
from throughtime.runs.settings import RunSettings
from throughtime.runs.tasks.base import Task

Say = Callable[[str], None]
"""Takes a line for the user."""


@dataclass(frozen=True)
class Run:
    """Run about to be trained."""

    folder: Path
    settings: RunSettings
    model: SequenceModel
    record: Record


class Driver(ABC):
    """Reader of a run's data and trainer of its model.

    Attributes:
        settings: those of the run; after `read` with what was chosen for its data.
    """

    settings: RunSettings

    @property
    @abstractmethod
    def task(self) -> Task:
        """What is predicted; known after `read`."""

    @abstractmethod
    def read(self, state: Mapping[str, Any] | None) -> None:
        """Read the data, or make sure that they can be read.

        Args:
            state: the checkpoint to go on from; None: the run begins.

        Raises:
            ThroughtimeError: of the kind that fits, where they cannot be trained on.
        """

    @abstractmethod
    def check_model(self, model: SequenceModel) -> None:
        """Refuse a model that the settings cannot train, before a folder is made."""

    @abstractmethod
    def data_record(self) -> tuple[DataRecord, Baselines | dict[str, float]]:
        """Return what the record says of the data, and the losses of naive predictions."""

    @abstractmethod
    def check_data(self, record: Record, folder: Path) -> None:
        """Raise `RunFolderError` where the data are not those of the run to go on with."""

    @abstractmethod
    def lasting_of(self, state: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the settings that a checkpoint keeps; empty for version 0.1.0."""

    @abstractmethod
    def train(self, run: Run, checkpoint: Path | None, say: Say) -> Record:
        """Train from the beginning or from a checkpoint, and return the last record."""
