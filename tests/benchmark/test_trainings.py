import math
import random

import pytest

from throughtime.benchmark.sides import TORCH
from throughtime.benchmark.trainings import TrainingPair, TrainingTask, train_text
from throughtime.errors import ArgumentError, InputFileError


@pytest.fixture
def text_file(tmp_path):
    """A file of 1,500 letters with some order in them."""
    chance = random.Random(5)
    path = tmp_path / "text.txt"
    path.write_text(" ".join(chance.choice(["the", "lazy", "dog", "sees\n"]) for _ in range(500))[:1500])
    return path


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_the_same_model_is_learned_with_either_layers(text_file, cell):
    task = TrainingTask(str(text_file), cell, hidden_size=7, num_layers=2, epochs=2, threads=1)
    pair = TrainingPair(cell, train_text(task, with_torch=False), train_text(task, with_torch=True))
    assert 0 < pair.ours.loss < math.log(20)
    assert pair.ours.loss == pytest.approx(pair.torch.loss, rel=1e-4)
    other = train_text(TrainingTask(str(text_file), cell, 9, 2, 2, 1), with_torch=True)
    assert other.loss != pytest.approx(pair.torch.loss, rel=1e-4)
    assert pair.ratio == pair.ours.tokens_per_second / pair.torch.tokens_per_second
    assert pair.ours.seconds > 0 and pair.torch.seconds > 0


def test_nothing_given_is_the_default_of_the_command():
    from throughtime.runs.settings import ModelSettings, OptimizationSettings

    settings = TrainingTask("x").settings()
    assert settings.model == ModelSettings()
    assert settings.optimization == OptimizationSettings(accelerator="cpu")


def test_what_cannot_be_trained_is_refused(tmp_path):
    with pytest.raises(ArgumentError, match="-1"):
        TrainingTask("x", hidden_size=-1).settings()
    with pytest.raises(InputFileError, match=r"absent\.txt"):
        train_text(TrainingTask(str(tmp_path / "absent.txt")), with_torch=True)


def test_a_cell_that_torch_does_not_have_cannot_be_trained_beside_it(monkeypatch):
    monkeypatch.delitem(TORCH, "gru")
    with pytest.raises(ArgumentError, match=r"cells has 'gru'; torch\.nn must have the cell too: give some of"):
        TrainingTask("x", "gru").settings()
