import numpy as np
import pytest
import torch

from throughtime.errors import InputFileError
from throughtime.training.diagnosing import diagnose, reach, windows
from throughtime.training.model import SequenceModel
from throughtime.training.settings import ModelSettings, OptimizationSettings


def test_windows_are_spread_over_the_text_and_targets_follow_their_inputs():
    chunk = windows(np.arange(100, dtype=np.int32), steps=10, rows=4)
    assert chunk.inputs[0].tolist() == [0, 29, 59, 89] and chunk.targets[-1].tolist() == [10, 39, 69, 99]
    assert torch.equal(chunk.targets[:-1], chunk.inputs[1:]) and chunk.first


def test_a_short_text_has_fewer_steps():
    chunk = windows(np.arange(5, dtype=np.int32), steps=10, rows=3)
    assert chunk.inputs.shape == (4, 3) and chunk.targets[-1].tolist() == [4, 4, 4]
    with pytest.raises(InputFileError, match="has 1 symbols; it takes 2"):
        windows(np.arange(1, dtype=np.int32))


@pytest.mark.parametrize(
    ("settings", "steps"),
    [(OptimizationSettings(update_every=50), 25), (OptimizationSettings(update_every=1), 1)]
    + [(OptimizationSettings(update_every=4, gradient="truncated", horizon=9), 9)],
)
def test_the_gradient_is_wanted_as_far_back_as_training_reaches(settings, steps):
    assert reach(settings) == steps


def test_a_diagnosis_changes_nothing():
    torch.manual_seed(3)
    model = SequenceModel(9, ModelSettings(hidden_size=5, num_layers=2, dropout=0.5)).train()
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    before, random = [p.detach().clone() for p in model.parameters()], torch.get_rng_state()
    chunk = windows(np.random.default_rng(0).integers(9, size=60).astype(np.int32), steps=20, rows=3)
    flow, again = (diagnose(model, chunk, 50) for _ in range(2))
    assert flow.wanted_lag == 20 and flow.layers == again.layers, "no dropout, no chance"
    assert model.training and torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(p, q) and bool((p.grad == 1).all()) for p, q in zip(model.parameters(), before, strict=True))
