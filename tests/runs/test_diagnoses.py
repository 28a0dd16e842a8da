"""A run that is looked at before, during and after, by a diagnosis made for these tests."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from runs.running import alphabet, at_update, press_ctrl_c, silent, with_options
from safetensors.torch import load_file

from throughtime.data.streams import Chunk, held_out_streams, windows
from throughtime.records import Baselines, Context, Flow, Memory, read_flows
from throughtime.runs.diagnoses import ROWS, STEPS, diagnose_data, diagnose_task, reach, wanted_lag
from throughtime.runs.engine import resume, start
from throughtime.runs.interruption import InterruptedRunError
from throughtime.runs.model import SequenceModel
from throughtime.runs.module import SequenceTraining
from throughtime.runs.settings import ModelSettings, OptimizationSettings
from throughtime.runs.tasks.base import Data


class _Look:
    """The loss on the chunk; it draws random numbers and leaves gradients."""

    def __init__(self):
        self.updates_of_weights = []

    def __call__(self, task, model, data):
        chunk = data.windows(STEPS, ROWS)
        assert not model.training and chunk.first
        logits, _ = model(chunk.inputs)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), chunk.targets.flatten())
        loss.backward()
        torch.randn(3)
        self.updates_of_weights.append(model.readout.weight.detach().clone())
        return Flow(None, *chunk.inputs.shape, loss.item(), 5, [], None, None, 0.5)


def test_a_run_is_diagnosed_before_and_after_and_in_between_and_goes_on_as_if_nothing_had_been(small_run, tmp_path):
    look, settings = _Look(), with_options(small_run, diagnose_every=100)
    start(settings, tmp_path / "seen", False, silent, diagnose=look)
    flows = read_flows(tmp_path / "seen")
    assert [flow.update for flow in flows] == [0, 100, 200, 288]
    assert flows[0].loss > flows[1].loss > 0 and {(flow.steps, flow.rows) for flow in flows} == {(200, 16)}
    start(small_run, tmp_path / "unseen", False, silent)
    assert not (tmp_path / "unseen" / "diagnosis.json").exists()
    seen, unseen = ((tmp_path / name / "updates.csv").read_bytes() for name in ("seen", "unseen"))
    assert seen == unseen


def test_the_last_diagnosis_is_of_the_weights_that_are_kept(small_run, tmp_path, monkeypatch):
    """The second validation is made the worse."""
    monkeypatch.setattr(SequenceTraining, "held_out_loss", property(lambda module: float(module.progress.updates)))
    look = _Look()
    record = start(small_run, tmp_path / "run", False, silent, diagnose=look)
    best, last = record.results.best_update, record.results.updates
    assert [flow.update for flow in read_flows(tmp_path / "run")] == [0, best] and 0 < best < last
    kept = load_file(tmp_path / "run/model.safetensors")["readout.weight"]
    assert torch.equal(look.updates_of_weights[-1], kept)


@pytest.mark.parametrize("update", [60, 100, 101])
def test_an_interrupted_run_keeps_its_diagnoses(small_run, tmp_path, monkeypatch, update):
    settings = with_options(small_run, diagnose_every=50)
    start(settings, tmp_path / "whole", False, silent, diagnose=_Look())
    with monkeypatch.context() as patch:
        at_update(patch, update, press_ctrl_c)
        with pytest.raises(InterruptedRunError):
            start(settings, tmp_path / "parts", False, silent, diagnose=_Look())
    torch.manual_seed(99)
    resume(settings, tmp_path / "parts", silent, _Look())
    assert (tmp_path / "parts/diagnosis.json").read_bytes() == (tmp_path / "whole/diagnosis.json").read_bytes()
    assert [flow.update for flow in read_flows(tmp_path / "whole")] == [0, 50, 100, 150, 200, 250, 288]


@pytest.mark.parametrize("validate_every", [100, 120])
def test_what_a_run_that_died_found_after_its_last_checkpoint_is_found_anew(
    small_run, tmp_path, monkeypatch, validate_every
):
    settings = with_options(small_run, diagnose_every=50, validate_every=validate_every)

    def die(module):
        raise MemoryError

    with monkeypatch.context() as patch:
        at_update(patch, 160, die)
        with pytest.raises(MemoryError):
            start(settings, tmp_path / "run", False, silent, diagnose=_Look())
    assert [flow.update for flow in read_flows(tmp_path / "run")] == [0, 50, 100, 150]
    look = _Look()
    resume(settings, tmp_path / "run", silent, look)
    assert [flow.update for flow in read_flows(tmp_path / "run")] == [0, 50, 100, 150, 200, 250, 288]
    assert len(look.updates_of_weights) == 4


def test_the_layers_of_others_are_trained_without_a_diagnosis(small_run, tmp_path):
    look = _Look()
    plain = replace(small_run, model=replace(small_run.model, num_layers=1))
    start(plain, tmp_path / "run", False, silent, recurrent=lambda: torch.nn.LSTM(5, 7), diagnose=look)
    assert look.updates_of_weights == [] and (tmp_path / "run/updates.csv").exists()
    assert not (tmp_path / "run/step_norms.csv").exists()


@pytest.mark.parametrize(
    ("settings", "steps"),
    [(OptimizationSettings(update_every=50), 50), (OptimizationSettings(update_every=1), 1)]
    + [(OptimizationSettings(update_every=4, gradient="truncated", horizon=9), 9)],
)
def test_the_gradient_is_wanted_as_far_back_as_training_reaches(settings, steps):
    assert reach(settings) == steps


def test_a_diagnosis_changes_nothing():
    torch.manual_seed(3)
    model = SequenceModel(alphabet(9), ModelSettings(hidden_size=5, num_layers=2, dropout=0.5)).train()
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    before, random = [p.detach().clone() for p in model.parameters()], torch.get_rng_state()
    chunk = windows(np.random.default_rng(0).integers(9, size=60).astype(np.int32), steps=20, rows=3)
    flow, again = (diagnose_task(alphabet(9), model, chunk, 50) for _ in range(2))
    assert flow.wanted_lag == 20 and flow.layers == again.layers, "no dropout, no chance"
    assert model.training and torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(p, q) and bool((p.grad == 1).all()) for p, q in zip(model.parameters(), before, strict=True))


def test_the_state_starts_anew_where_a_series_begins_in_a_window():
    """Two series in a row are followed as the same two series in two rows."""
    torch.manual_seed(3)
    model = SequenceModel(alphabet(9), ModelSettings(cell="gru", hidden_size=5, num_layers=2)).train()
    rows = windows(np.random.default_rng(0).integers(9, size=60).astype(np.int32), steps=7, rows=2)
    resets = torch.zeros(14, 1, dtype=torch.bool)
    resets[7] = True
    end_to_end = Chunk(*(part.t().reshape(14, 1) for part in rows[:2]), mask=None, first=True, resets=resets)
    one, two = (diagnose_task(alphabet(9), model, chunk, 3) for chunk in (end_to_end, rows))
    assert one.loss == pytest.approx(two.loss, rel=1e-6)
    for joined, apart in zip(one.layers, two.layers, strict=True):
        halves = np.square(joined.by_step[:7]) + np.square(joined.by_step[7:])
        assert halves == pytest.approx(2 * np.square(apart.by_step), rel=1e-4)
        assert joined.by_lag is not None and len(joined.by_lag.mean) <= 7
    assert not model._forward_pre_hooks


def test_the_gradient_is_wanted_over_a_series_with_one_target_else_as_far_as_a_longer_past_helps():
    origin = torch.stack((torch.tensor([0] * 6 + [1] * 7), torch.tensor([*range(6), *range(7)])), dim=-1)[:, None]
    mask = torch.zeros(13, 1, dtype=torch.bool)
    mask[[5, 12]] = True
    chunk = Chunk(torch.zeros(13, 1), torch.zeros(13, 1), mask, first=True, origin=origin)
    assert wanted_lag(chunk, None, 50) == 6
    per_step = chunk._replace(mask=None)
    memory = Memory(99, 1.0, 2.0, 40, [Context(4, 1.5, 0.1), Context(8, 1.0, 0.1)], [])
    assert [wanted_lag(per_step, known, 50) for known in (None, memory, replace(memory, whole=2.5))] == [13, 8, 13]
    assert wanted_lag(per_step, memory, 5) == 5


def test_the_loss_of_the_task_shows_which_past_a_model_uses():
    torch.manual_seed(3)
    model = SequenceModel(alphabet(9), ModelSettings(hidden_size=5)).train()
    codes = np.random.default_rng(0).integers(9, size=3000).astype(np.int32)
    baselines = Baselines(np.log(9), np.log(9), np.log(9))
    data = Data("a", "", 3000, held_out_streams(codes), partial(windows, codes), baselines)
    flow = diagnose_data(alphabet(9), model, data, 50, windows=(40, 4))
    assert flow.memory is not None and flow.finding is not None and (flow.steps, flow.rows) == (40, 4)
    assert flow.memory.whole == pytest.approx(2.2, abs=0.2) and flow.memory.naive == pytest.approx(np.log(9))
    assert flow.finding.sentence.startswith("healthy so far") and flow.wanted_lag == 40 and model.training
