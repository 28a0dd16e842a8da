"""Weights and checkpoints on disk, written aside and renamed."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import safetensors.torch
import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from safetensors import SafetensorError
from torch import Tensor

from throughtime.errors import NonFiniteError, RunFolderError
from throughtime.records import CHECKPOINT, RECORD, WEIGHTS, Record, read_record, write_aside
from throughtime.records.files import damaged
from throughtime.records.ranges import FieldError, shown
from throughtime.runs.checkpoint_schema import check_size_fits, check_tensors
from throughtime.runs.choice import task_and_model
from throughtime.runs.model import SequenceModel
from throughtime.runs.tasks.base import Task
from throughtime.training.rescue import first_nonfinite_weights
from throughtime.wording import reason_of

Read = TypeVar("Read")


class AsideCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoint reader and writer, for local files alone, with atomic writes."""

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Read a checkpoint. Lightning's would take a path that begins with "http" for an address."""
        return torch.load(path, map_location=map_location, weights_only=True)

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Raises:
            RunFolderError: the system refused; the previous file is kept.
        """
        content = io.BytesIO()
        torch.save(checkpoint, content)
        write_aside(Path(path), content.getvalue())


def save_weights(folder: Path, model: SequenceModel) -> None:
    """Write `model.safetensors`."""
    weights = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    write_aside(folder / WEIGHTS, safetensors.torch.save(weights))


def load_weights(folder: Path, model: SequenceModel) -> None:
    """Load `model.safetensors`, the best weights of a run, into a model of the run.

    Raises:
        RunFolderError: the file is missing or damaged.
    """
    model.load_state_dict(_weights(folder))


def load_run(folder: Path, kind: type[Task] | None = None) -> tuple[Task, SequenceModel, Record]:
    """Return the task and the best model of a run, in evaluation mode.

    `model.safetensors` and `record.json` are all that it reads.

    Args:
        folder: the run folder.
        kind: the class of its task; None: the one that the record names.

    Raises:
        RunFolderError: something in the folder is missing, damaged or of another version.
        NonFiniteError: the weights hold NaN or infinity.
    """
    record = read_record(folder)
    task, settings = task_and_model(record, folder, kind)
    weights = _weights(folder)
    try:
        check_size_fits(settings, task.input_size(settings), sum(value.numel() for value in weights.values()))
        model = SequenceModel(task, settings)
        check_tensors(weights, model.state_dict())
    except FieldError as misfit:
        raise RunFolderError(
            f"{folder / WEIGHTS} does not hold the weights of this run's model: {misfit}, by {RECORD}; train anew or "
            "restore it."
        ) from None
    model.load_state_dict(weights)
    name = first_nonfinite_weights(model)
    if name is not None:
        raise NonFiniteError(
            f"{folder / WEIGHTS}: the weights {name} hold NaN or infinity, so the model predicts nothing; train anew."
        )
    return task, model.eval(), record


def read_checkpoint(folder: Path) -> Path:
    """Return the path of a readable `last.ckpt`. Raises `RunFolderError` where the file is missing or damaged."""
    path = folder / CHECKPOINT
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise RunFolderError(
            f"RUN {folder} has no {CHECKPOINT}: its training stopped before the first validation, so there is "
            f"nothing to go on from; start it again with throughtime train --config {folder}/config.yaml."
        ) from None
    except Exception as error:  # torch.load fails in as many ways as a file can be damaged
        raise RunFolderError(f"{path} cannot be read ({reason_of(error)}); train anew.") from None
    if not isinstance(state, dict):
        raise damaged(path, fault=f"its content is {shown(state)}; it must be a dictionary")
    return path


def from_checkpoint(folder: Path, read: Callable[[dict[str, Any]], Read], state: dict[str, Any]) -> Read:
    """Read or check the content of a checkpoint.

    Args:
        folder: the run folder, for the message.
        read: raises `FieldError` where the content does not fit the run.
        state: the content.

    Raises:
        RunFolderError: it does not fit.
    """
    try:
        return read(state)
    except FieldError as misfit:
        raise damaged(folder / CHECKPOINT, fault=misfit) from None


def _weights(folder: Path) -> dict[str, Tensor]:
    path = folder / WEIGHTS
    try:
        return safetensors.torch.load(path.read_bytes())
    except FileNotFoundError:
        way_out = f"throughtime train --config {folder}/config.yaml"
        if (folder / CHECKPOINT).exists():
            way_out = f"throughtime train --resume {folder}"
        raise RunFolderError(
            f"RUN {folder} has no {WEIGHTS}: its training stopped before the first validation; go on with "
            f"{way_out}, or train anew."
        ) from None
    except OSError as error:
        raise RunFolderError(f"{path} cannot be read: {reason_of(error)}.") from None
    except (SafetensorError, RuntimeError, ValueError, KeyError) as error:
        raise RunFolderError(
            f"{path} does not hold the weights of this run's model ({reason_of(error)}); train anew or restore it."
        ) from None
