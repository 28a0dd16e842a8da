"""Runs with the gradient methods that the command offers beside BPTT."""

from dataclasses import replace

import pytest
import torch

import throughtime as tt
from throughtime.records import read_metrics
from throughtime.runs.engine import start
from throughtime.runs.gradient import METHODS, gradient_method
from throughtime.runs.settings import OptimizationSettings

CHOICES = {
    "bptt": {},
    "truncated": {"gradient": "truncated", "horizon": 4},
    "checkpointed": {"gradient": "checkpointed", "segments": 2},
    "scan": {"gradient": "scan"},
    "rtrl": {"gradient": "rtrl"},
    "snap": {"gradient": "snap", "order": 1},
    "uoro": {"gradient": "uoro"},
    "rflo": {"gradient": "rflo", "leak": 0.5},
    "eprop": {"gradient": "eprop"},
}
FAST = ("bptt", "truncated", "checkpointed", "eprop")
"""The others take a minute each on a run of this size; tests/commands/test_train_online.py runs them on a short one."""


def _losses(small_run, folder, **options):
    settings = replace(small_run.optimization, epochs=1, validate_every=36, **options)
    record = start(replace(small_run, optimization=settings), folder, False, lambda line: None)
    return record, torch.tensor([row.validation_loss for row in read_metrics(folder)])


def test_there_is_a_run_for_every_choice():
    assert set(CHOICES) == set(METHODS)


def test_the_options_reach_the_method():
    assert gradient_method(OptimizationSettings(**CHOICES["truncated"])) == tt.TruncatedBPTT(horizon=4)
    checkpointed = OptimizationSettings(gradient="checkpointed", memory="1MB", clip_step=0.5)
    assert gradient_method(checkpointed) == tt.CheckpointedBPTT(clip_step=0.5, memory="1MB")
    assert gradient_method(OptimizationSettings(**CHOICES["checkpointed"])) == tt.CheckpointedBPTT(segments=2)


@pytest.mark.parametrize("name", FAST)
def test_a_run_is_recorded_with_its_method(small_run, tmp_path, name):
    record, losses = _losses(small_run, tmp_path / "run", **CHOICES[name])
    assert record.machine["gradient"] == repr(gradient_method(OptimizationSettings(**CHOICES[name])))
    assert losses[-1] < record.baselines.unigram


def test_checkpoints_change_nothing_and_a_short_horizon_does(small_run, tmp_path):
    found = {
        name: _losses(small_run, tmp_path / name, **options)[1] for name, options in CHOICES.items() if name in FAST
    }
    torch.testing.assert_close(found["checkpointed"], found["bptt"], rtol=1e-3, atol=0)
    assert not torch.allclose(found["truncated"], found["bptt"], rtol=1e-3, atol=0)
