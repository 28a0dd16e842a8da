import errno
import os

import pytest
import safetensors.torch
import torch

from throughtime.errors import NonFiniteError, RunFolderError
from throughtime.records import DataRecord, write_record
from throughtime.runs.checkpoints import AsideCheckpointIO, load_run, read_checkpoint, save_weights
from throughtime.runs.model import SequenceModel
from throughtime.runs.recording.first_record import first_record
from throughtime.runs.tasks import Text


@pytest.fixture
def run(small_run, tmp_path):
    """A folder with the record and the weights of an untrained model, and that model."""
    material = Text.prepare(small_run)
    model = SequenceModel(material.task, small_run.model)
    folder = tmp_path / "run"
    folder.mkdir()
    data = DataRecord(small_run.file, material.held_out.sha256, material.held_out.bytes, material.task.unit)
    write_record(folder, first_record(material.task, small_run, model, folder, data, material.held_out.baselines))
    save_weights(folder, model)
    return folder, model


def test_a_model_comes_back_from_weights_and_record_alone(run):
    folder, model = run
    task, loaded, _ = load_run(folder)
    assert sorted(os.listdir(folder)) == ["model.safetensors", "record.json"]
    assert not loaded.training
    symbols = torch.randint(0, len(task.vocabulary), (9, 2))
    assert torch.equal(loaded(symbols)[0], model.eval()(symbols)[0])


def test_a_run_without_weights_is_named(run):
    folder, _ = run
    (folder / "model.safetensors").unlink()
    with pytest.raises(RunFolderError, match="stopped before the first validation; .* --config .*config.yaml, or"):
        load_run(folder)
    (folder / "last.ckpt").touch()
    with pytest.raises(RunFolderError, match="has no model.safetensors.*; go on with throughtime train --resume"):
        load_run(folder)


@pytest.mark.parametrize("keep", [0, 7, 500])
def test_damaged_weights_are_named(run, keep):
    folder, _ = run
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(RunFolderError, match="model.safetensors does not hold the weights of this run's model"):
        load_run(folder)


def test_the_weights_of_another_model_are_refused(run):
    folder, model = run
    weights = model.state_dict()
    weights["readout.bias"] = torch.zeros(3)
    safetensors.torch.save_file(weights, folder / "model.safetensors")
    with pytest.raises(RunFolderError, match="does not hold the weights of this run's model"):
        load_run(folder)


def test_weights_that_are_not_numbers_are_refused(run):
    folder, model = run
    model.readout.bias.data[1] = float("nan")
    save_weights(folder, model)
    with pytest.raises(NonFiniteError, match="the weights readout.bias hold NaN or infinity"):
        load_run(folder)


def test_a_checkpoint_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "last.ckpt"
    AsideCheckpointIO().save_checkpoint({"a": torch.ones(3)}, path)

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunFolderError, match="No space left on device"):
        AsideCheckpointIO().save_checkpoint({"a": torch.zeros(3)}, path)
    assert torch.equal(torch.load(read_checkpoint(tmp_path), weights_only=True)["a"], torch.ones(3))


def test_a_checkpoint_that_is_missing_or_damaged_is_named(tmp_path):
    with pytest.raises(RunFolderError, match="has no last.ckpt.*before the first validation"):
        read_checkpoint(tmp_path)
    (tmp_path / "last.ckpt").write_bytes(b"PK half of something")
    with pytest.raises(RunFolderError, match="last.ckpt cannot be read"):
        read_checkpoint(tmp_path)
