import random

import pytest
import torch
from runs.running import without_default_clock

from throughtime.runs.settings import ModelSettings, OptimizationSettings, RunSettings
from throughtime.runs.tasks.symbols import SymbolSettings


@pytest.fixture(autouse=True)
def _one_thread():
    """Models this small only lose by threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _no_checkpoints_by_time(monkeypatch):
    without_default_clock(monkeypatch)


@pytest.fixture
def text_file(tmp_path):
    """A file of 2,400 characters with some order in them, in words of a small language."""
    words = ["über", "the", "a", "lazy", "dog", "fox", "jumps", "quick", "and", "sees\n"]
    chance = random.Random(5)
    path = tmp_path / "text.txt"
    path.write_text(" ".join(chance.choice(words) for _ in range(900))[:2400], encoding="utf-8")
    return path


@pytest.fixture
def small_run(text_file):
    """Settings of a run that takes a second: 2 epochs of 145 updates, dropout, a last chunk that is shorter."""
    return RunSettings(
        str(text_file),
        model=ModelSettings(hidden_size=7, num_layers=2, dropout=0.3),
        task=SymbolSettings(embedding_size=5),
        optimization=OptimizationSettings(
            batch_size=3, update_every=5, epochs=2, learning_rate=0.02, warm_up=10, accelerator="cpu", threads=1
        ),
    )
