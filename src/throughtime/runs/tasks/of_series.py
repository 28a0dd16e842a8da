"""Tasks over series of columns: how they are read, encoded, held out and laid out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from throughtime.runs.options import option
from throughtime.runs.settings import TaskSettings
from throughtime.runs.tasks.base import FileTask

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from throughtime.data.encoding import Encoding
    from throughtime.data.roles import Roles
    from throughtime.data.series import SeriesSet


@dataclass(frozen=True)
class SeriesSettings(TaskSettings):
    """Options of tasks over series: what the columns of the file are."""

    format: str = option("", "Format of FILE, such as csv or ts. Default: by its name and content.", online=False)
    layout: str = option("", "For arrays: the order of the axes, such as NTC (series, time, column).", online=False)
    target: str = option("", "Column to predict, or several, separated by commas.", online=False)
    id: str = option("", "Column that tells the series apart.", online=False)
    time: str = option("", "Column of the time of each row.", online=False)
    static: str = option("", "Columns with a single value per series, separated by commas.", online=False)
    ignore: str = option("", "Columns to leave out, separated by commas.", online=False)


@dataclass(frozen=True)
class Answers:
    """Targets of series as numbers.

    Attributes:
        values: [steps, …], class numbers or scaled numbers; anything where `known` is False.
        known: True [steps] where a target stands.
    """

    values: NDArray[np.int64] | NDArray[np.float32]
    known: NDArray[np.bool_]


class SeriesTask(FileTask, ABC):
    """Task over series of columns.

    A task adds what a target is (`fit_answers`, `answers`), the readout, the loss, and the naive predictions.

    Args:
        encoding: how the columns are read.
        roles: what the columns of the file are.
    """

    settings: ClassVar[type[TaskSettings]] = SeriesSettings

    def __init__(self, encoding: Encoding, roles: Roles) -> None:
        self.encoding = encoding
        self.roles = roles
        self.told: Sequence[str] = ()

    @classmethod
    @abstractmethod
    def features_of(cls, series: SeriesSet, roles: Roles) -> list[str]:
        """Return the columns that the model reads."""

    @abstractmethod
    def fit_answers(self, training: SeriesSet) -> None:
        """Take classes or scales from the training part."""

    @abstractmethod
    def answers(self, series: SeriesSet) -> Answers:
        """Return the targets of series.

        Raises:
            InputFileError: the series have no target, or one that the model never saw.
        """

    @abstractmethod
    def naive(self, training: SeriesSet, series: SeriesSet) -> dict[str, float]:
        """Return the losses of naive predictions, by name, the worst first."""
