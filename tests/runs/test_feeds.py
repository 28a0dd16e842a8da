"""Runs that read many series through a feed, of either kind."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from runs.running import at_update, press_ctrl_c, silent
from torch import nn

from throughtime.data.feeds import WholeRows
from throughtime.data.laying import held_out_feed, training_feed
from throughtime.data.series_arrays import SeriesArrays
from throughtime.records import UPDATES, UpdateRow, read_table
from throughtime.runs.checkpoints import load_run
from throughtime.runs.engine import resume, start
from throughtime.runs.evaluation import evaluate, predicted
from throughtime.runs.interruption import InterruptedRunError
from throughtime.runs.settings import ModelSettings, OptimizationSettings, RunSettings
from throughtime.runs.tasks.base import Data, FileTask, Material


class NextNumber(FileTask):
    """The next number of each series; FILE is the length of chunks, by which series are short or long."""

    name = "next_number"
    loss_name = "MSE"

    @classmethod
    def fit(cls, settings):
        return cls()

    @classmethod
    def from_record(cls, record):
        return cls()

    @classmethod
    def prepare(cls, settings):
        optimization = settings.optimization
        training = training_feed(_arrays(2), optimization.seed, optimization.update_every, optimization.batch_size)
        chosen = replace(settings, optimization=replace(optimization, batch_size=training.rows))
        return Material(cls(), chosen, training.feed, cls().read(settings.file), (1, 1))

    def read(self, file, *, skip_unknown=False, held_out_of=None):
        arrays = _arrays(1)
        # Chunks of 3, 2, 3 and 3 rows, so that no state can be carried on from chunk to chunk.
        feed = WholeRows(arrays, 16, 3) if file == "16" else held_out_feed(arrays, int(file)).feed
        return Data(file, "5e" * 32, 0, feed, arrays.windows, {"zero": 1.0})

    def input_size(self, model):
        return 1

    def readout(self, model):
        return nn.Linear(model.hidden_size, 1)

    def loss(self, outputs, chunk):
        errors = (outputs - chunk.targets).square()
        return errors.mean() if chunk.mask is None else errors[chunk.mask].mean()

    def rows(self, outputs, chunk):
        for step, row in (chunk.origin[..., 0] >= 0).nonzero().tolist():
            series, at = chunk.origin[step, row].tolist()
            yield {"series": series, "step": at, "value": outputs[step, row].item()}


def _arrays(seed):
    chance = np.random.default_rng(seed)
    lengths = chance.integers(3, 15, 21)
    values = chance.normal(size=(lengths.sum(), 1)).astype(np.float32)
    return SeriesArrays(values, np.roll(values, -1), np.concatenate([[0], np.cumsum(lengths)]))


def _settings(steps, horizon=0):
    told = OptimizationSettings(
        batch_size=3, update_every=steps, epochs=2, warm_up=0, validate_every=1, accelerator="cpu", threads=1
    )
    if horizon:
        told = replace(told, gradient="truncated", horizon=horizon)
    return RunSettings(str(steps), model=ModelSettings(cell="gru", hidden_size=5, num_layers=1), optimization=told)


@pytest.mark.parametrize("steps", [16, 5])
@pytest.mark.parametrize("horizon", [0, 7])
def test_a_run_goes_on_where_it_was_stopped(steps, horizon, tmp_path, monkeypatch):
    settings = _settings(steps, horizon)
    whole = start(settings, tmp_path / "whole", False, silent, kind=NextNumber)
    with monkeypatch.context() as patch:
        at_update(patch, 4, press_ctrl_c)  # whose chunk of whole series has fewer rows than the first
        with pytest.raises(InterruptedRunError):
            start(settings, tmp_path / "stopped", False, silent, kind=NextNumber)
    torch.manual_seed(99)
    assert resume(settings, tmp_path / "stopped", silent, kind=NextNumber) is not None
    rows = [read_table(tmp_path / name, UPDATES, UpdateRow) for name in ("whole", "stopped")]
    assert rows[0] == rows[1] and len(rows[0]) == whole.results.updates >= 8
    models = [load_run(tmp_path / name, NextNumber)[1].state_dict() for name in ("whole", "stopped")]
    assert all(torch.equal(value, models[1][name]) for name, value in models[0].items())


@pytest.mark.parametrize("steps", [16, 5])
def test_validations_and_predictions_are_those_of_each_series_alone(steps, tmp_path):
    record = start(_settings(steps), tmp_path / "run", False, silent, kind=NextNumber)
    task, model, _ = load_run(tmp_path / "run", NextNumber)
    data, arrays = task.read(str(steps)), _arrays(1)
    rows = sorted(
        (row["series"], row["step"], row["value"])
        for pair in predicted(model, data.streams)
        for row in task.rows(*pair)
    )
    with torch.no_grad():
        parts = [torch.from_numpy(part)[:, None] for part in np.split(arrays.inputs, arrays.starts[1:-1])]
        alone = torch.cat([model(part)[0].flatten() for part in parts])
    assert [row[:2] for row in rows] == [(i, step) for i, part in enumerate(parts) for step in range(len(part))]
    assert [row[2] for row in rows] == pytest.approx(alone.tolist(), abs=1e-6)
    mse = (alone - torch.from_numpy(arrays.targets).flatten()).square().mean().item()
    assert evaluate(task, model, data.streams)[0].value == pytest.approx(mse, rel=1e-5)
    assert record.results.best_validation_loss == pytest.approx(mse, rel=1e-5)
