"""First record of a run, written before training starts."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from throughtime import __version__
from throughtime.kernels.native import describe
from throughtime.records import DataRecord, ModelRecord, Record
from throughtime.records.run import BaselinesOf
from throughtime.runs.model import SequenceModel
from throughtime.runs.settings import RunSettings
from throughtime.runs.tasks.base import Task

_PACKAGES = ("torch", "lightning", "numpy", "safetensors", "jsonargparse")


def first_record(
    task: Task,
    settings: RunSettings,
    model: SequenceModel,
    folder: Path,
    data: DataRecord,
    baselines: BaselinesOf,
) -> Record:
    """Return the first record of a run, with what its task adds.

    Args:
        task: what is predicted.
        settings: the settings that `config.yaml` gets.
        model: what is trained.
        folder: the run folder.
        data: what was read.
        baselines: the losses of naive predictions on the held-out data.
    """
    shape = settings.model
    record = Record(
        data=data,
        model=ModelRecord(
            cell=shape.cell,
            nonlinearity=shape.nonlinearity,
            hidden_size=shape.hidden_size,
            num_layers=shape.num_layers,
            dropout=shape.dropout,
            parameters=sum(parameter.numel() for parameter in model.parameters()),
        ),
        baselines=baselines,
        reproduce=f"throughtime train --config {folder}/config.yaml",
        versions=_versions(),
        machine={
            "platform": platform.platform(),
            "processor": platform.processor() or platform.machine(),
            **describe(),
            "gradient": repr(getattr(model.recurrent, "gradient", "torch.nn's own")),
            "accelerator": settings.optimization.accelerator,
        },
        task=task.name,
        settings=settings.lasting(),
        loss=task.loss_name,
        loss_unit=task.loss_unit,
        closed=False,
    )
    return task.recorded(record)


def _versions() -> dict[str, str]:
    versions = {"throughtime": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
