"""Weights and checkpoints on disk, written aside and renamed."""

import io
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from safetensors import SafetensorError

from throughtime.errors import NonFiniteError, RunFolderError
from throughtime.records import CHECKPOINT, WEIGHTS, Record, read_record, write_aside
from throughtime.runs.choice import task_of_record
from throughtime.runs.model import SequenceModel
from throughtime.runs.settings import ModelSettings
from throughtime.runs.tasks.base import Task
from throughtime.training.rescue import first_nonfinite_weights
from throughtime.wording import reason_of


class AsideCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoint writer, with atomic file writes."""

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
    shape = record.model
    settings = ModelSettings(
        cell=shape.cell,  # pyright: ignore[reportArgumentType]
        nonlinearity=shape.nonlinearity,  # pyright: ignore[reportArgumentType]
        hidden_size=shape.hidden_size,
        num_layers=shape.num_layers,
        dropout=shape.dropout,
    )
    task = (kind or task_of_record(record)).from_record(record)
    model = SequenceModel(task, settings)
    _fill(model, folder / WEIGHTS)
    return task, model.eval(), record


def read_checkpoint(folder: Path) -> Path:
    """Return the path of a readable `last.ckpt`. Raises `RunFolderError` where the file is missing or damaged."""
    path = folder / CHECKPOINT
    try:
        torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except FileNotFoundError:
        raise RunFolderError(
            f"RUN {folder} has no {CHECKPOINT}: its training stopped before the first validation, so there is "
            f"nothing to go on from; start it again with throughtime train --config {folder}/config.yaml."
        ) from None
    except Exception as error:  # torch.load fails in as many ways as a file can be damaged
        raise RunFolderError(f"{path} cannot be read ({reason_of(error)}); train anew.") from None
    return path


def _fill(model: SequenceModel, path: Path) -> None:
    try:
        weights = safetensors.torch.load(path.read_bytes())
        model.load_state_dict(weights)
    except FileNotFoundError:
        way_out = f"throughtime train --config {path.parent}/config.yaml"
        if (path.parent / CHECKPOINT).exists():
            way_out = f"throughtime train --resume {path.parent}"
        raise RunFolderError(
            f"RUN {path.parent} has no {path.name}: its training stopped before the first validation; go on with "
            f"{way_out}, or train anew."
        ) from None
    except OSError as error:
        raise RunFolderError(f"{path} cannot be read: {reason_of(error)}.") from None
    except (SafetensorError, RuntimeError, ValueError) as error:
        raise RunFolderError(
            f"{path} does not hold the weights of this run's model ({reason_of(error)}); train anew or restore it."
        ) from None
    name = first_nonfinite_weights(model)
    if name is not None:
        raise NonFiniteError(
            f"{path}: the weights {name} hold NaN or infinity, so the model predicts nothing; train anew."
        )
