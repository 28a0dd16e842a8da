"""Trained runs in Python: predict, evaluate, diagnose, report, sample."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from throughtime.data.dataset import DataLike, Dataset, FrameLike, read
from throughtime.data.frames import frame_of
from throughtime.data.memory_arrays import is_array, is_frame
from throughtime.data.writing import rows_of
from throughtime.diagnosis import GradientFlow
from throughtime.errors import ArgumentError, UnsupportedError
from throughtime.records import Record, only_writer, read_flows
from throughtime.runs.tasks.base import Task
from throughtime.runs.tasks.of_series import SeriesTask
from throughtime.training.process import settled_process, with_extra

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from torch import Tensor, nn

FrameT = TypeVar("FrameT", bound=FrameLike)


class TrainedRun:
    """A run whose model is trained, and its folder.

    `tt.training.fit` and `tt.training.load` return it.

    Attributes:
        folder: the run folder.
        model: the model with the weights of the best validation, in evaluation mode, on the CPU.
        record: what the run is, its results, and the losses of naive predictions.
    """

    def __init__(self, folder: Path, task: Task, model: nn.Module, record: Record) -> None:
        self.folder = folder
        self.model = model
        self.record = record
        self._task = task

    @property
    def task(self) -> str:
        """Name of the task, such as "classify"."""
        return self._task.name

    def __repr__(self) -> str:
        shape, loss = self.record.model, self.record.results.best_validation_loss
        model = f"{shape.cell.upper()}, {shape.num_layers} × {shape.hidden_size}"
        said = "" if loss is None else f"; {self._task.loss_name} {self._task.said(loss)}"
        return f"<TrainedRun {self.folder}: {self.task}, {model}{said}>"

    @overload
    def predict(self, data: FrameT) -> FrameT: ...
    @overload
    def predict(self, data: str | Path | Dataset | Sequence[Any] | ArrayLike | Tensor) -> list[dict[str, Any]]: ...
    def predict(self, data: Any) -> Any:
        """Predict series, as `throughtime predict` does.

        Args:
            data: what `tt.data.read` returned or takes, with the columns that the model reads; the target may be
                missing.

        Returns:
            A row per prediction: the id of the series and the time as they came, the step after which it was made, from
            0, and the prediction. A data frame gives a frame of the same library, all else a list of dictionaries.

        Raises:
            InputFileError: the data cannot be read, or a column is missing.
            ArgumentError: a role of a column does not fit the data.
            UnsupportedError: the task predicts no series.
        """
        predictions = with_extra("throughtime.runs.predictions")
        task, source = self._reading(data)
        rows = rows_of(predictions.predictions(task, self.model.eval(), task.asked(source)))
        return frame_of(rows, data) if is_frame(data) else rows

    def evaluate(
        self, data: DataLike, labels: ArrayLike | Sequence[Any] | None = None, *, skip_unknown: bool = False
    ) -> dict[str, float]:
        """Measure the model on data whose targets are known, as `throughtime evaluate` does.

        Args:
            data: what `tt.data.read` returned or takes.
            labels: of arrays, a class or a number per series or per step.
            skip_unknown: leave out what the model never saw in training, such as a character.

        Returns:
            The metrics by name, the mean loss first.

        Raises:
            InputFileError: the data cannot be read, hold no target, or hold what the model never saw.
        """
        evaluation = with_extra("throughtime.runs.evaluation")
        task, source = self._reading(data, labels)
        read_data = task.read(source, skip_unknown=skip_unknown)
        metrics = evaluation.evaluate(task, self.model.eval(), read_data.streams)
        return {metric.name: metric.value for metric in metrics}

    def diagnose(
        self,
        data: DataLike | None = None,
        labels: ArrayLike | Sequence[Any] | None = None,
        *,
        steps: int = 200,
        rows: int = 16,
    ) -> GradientFlow:
        """Return how the gradient flows through the model, with a verdict.

        Args:
            data: what to measure it on; None: what was measured at the end of the training.
            labels: of arrays, a class or a number per series or per step.
            steps, rows: length and number of the windows of `data`.

        Raises:
            ArgumentError: `steps` or `rows` is below 1.
            InputFileError: the data cannot be read.
            RunFolderError: without `data`, the run has no diagnosis.
        """
        from throughtime.checks import check_size

        if data is None:
            return GradientFlow(read_flows(self.folder)[-1])
        check_size("steps", steps, 1)
        check_size("rows", rows, 1)
        diagnoses, config = with_extra("throughtime.runs.diagnoses"), with_extra("throughtime.runs.config")
        settings = config.read_config(self.folder, type(self._task))
        task, source = self._reading(data, labels)
        told, reach = task.read(source), diagnoses.reach(settings.optimization)
        return GradientFlow(diagnoses.diagnose_data(task, self.model, told, reach, windows=(steps, rows)))

    def report(self, output: str | os.PathLike[str] | None = None) -> Path:
        """Write the page on the run, and return its path.

        Args:
            output: the path of the page; None: report.html in the run folder.

        Raises:
            ArgumentError: `output` is a folder, a device or a .json file, or its folder is missing.
            RunFolderError: the run is damaged or being written, or the page cannot be written.
            UnsupportedError: matplotlib or jinja2 is not installed.
        """
        from throughtime.report import report_of_run

        if output is not None:
            return report_of_run(self.folder, Path(output), figures=self._task.figures).page
        with only_writer(self.folder, "give `output` for a page so far"):
            return report_of_run(self.folder, figures=self._task.figures).page

    def sample(self, length: int = 500, *, prompt: str = "", temperature: float = 0.8, seed: int = 0) -> str:
        """Return text that the model writes, as `throughtime sample` does.

        Args:
            length: number of steps to draw.
            prompt: text to continue.
            temperature: below 1 more cautious, above 1 bolder; 0: always the most likely.
            seed: random seed; the same seed gives the same sample.

        Raises:
            ArgumentError: an argument is out of range.
            UnsupportedError: the task draws no samples.
        """
        import torch

        if not 0 <= seed < 2**63:
            raise ArgumentError("seed", f"is {seed}", f"it must be at least 0 and below {2**63}")
        generator = torch.Generator().manual_seed(seed)
        return "".join(self._task.samples(self.model.eval(), prompt, length, temperature, generator))

    def _reading(self, data: Any, labels: Any = None) -> tuple[Task, Any]:
        """Return the task that reads data, and the data as it takes them: a path, or what was read before."""
        task = self._task
        if isinstance(data, Dataset) and labels is not None:
            raise ArgumentError("labels", "came with a Dataset", "it has been read", "give `labels` to tt.data.read")
        if isinstance(data, str | Path) and labels is None:
            return task, str(data)
        if not isinstance(task, SeriesTask):
            raise UnsupportedError(
                f"The task {task.name} reads files alone, and the data came from memory: give a path."
            )
        if not isinstance(data, Dataset):
            return task, read(data, labels, layout=task.given.layout if is_array(data) else "").content
        # A column that tells series or times apart may have another name here than in training.
        known = {"id": data.roles.id or task.given.id, "time": data.roles.time or task.given.time}
        task = copy.copy(task)
        task.given = replace(task.given, **known)
        return task, data.content


def load(folder: str | os.PathLike[str]) -> TrainedRun:
    """Open a run that `fit` or `throughtime train` wrote, with its best weights.

    Raises:
        RunFolderError: the folder is no run, or is damaged or of another version.
        NonFiniteError: the weights hold NaN or infinity.
        UnsupportedError: the extra `train` is not installed.
    """
    path, checkpoints = Path(folder), with_extra("throughtime.runs.checkpoints")
    with settled_process():
        return TrainedRun(path, *checkpoints.load_run(path))
