"""A run that is looked at before, during and after, by a diagnosis made for these tests."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from runs.running import alphabet, at_update, press_ctrl_c, silent, with_options

from throughtime.data.streams import Chunk, windows
from throughtime.records import Flow, read_flows
from throughtime.runs.diagnoses import diagnose_task, reach
from throughtime.runs.engine import resume, start
from throughtime.runs.interruption import InterruptedRunError
from throughtime.runs.model import SequenceModel
from throughtime.runs.settings import ModelSettings, OptimizationSettings


class _Look:
    """The loss on the chunk; it draws random numbers and leaves gradients."""

    def __init__(self):
        self.updates_of_weights = []

    def __call__(self, task, model, chunk):
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
    [(OptimizationSettings(update_every=50), 25), (OptimizationSettings(update_every=1), 1)]
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
