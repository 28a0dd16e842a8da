"""The contract of a task that learns from a stream, held by numbers in two series that take turns in blocks."""

import itertools

import pytest
import torch
from runs.running import silent
from torch import nn

from throughtime.online import OnlineLearner
from throughtime.records import Outcome
from throughtime.runs.checkpoints import load_run
from throughtime.runs.engine import resume, start
from throughtime.runs.settings import ModelSettings, OptimizationSettings, RunSettings
from throughtime.runs.tasks.streaming import Event, StreamTask


class Numbers(StreamTask):
    """The next number of a series, of which a line of the file is a block; every fifth number is not known."""

    name = "numbers"
    loss_name = "MSE"
    guesses = ("zero", "the number before")

    def __init__(self):
        self._at, self._last = 0, None

    @classmethod
    def fit(cls, settings):
        return cls()

    @classmethod
    def from_record(cls, record):
        return cls()

    def read(self, file, *, skip_unknown=False, held_out_of=None):
        raise NotImplementedError

    def open(self, file, follow):
        with open(file) as lines:
            pairs = [(float(word), place == 0) for line in lines for place, word in enumerate(line.split())]
        return iter([pairs[self._at :]])

    def example(self):
        return torch.zeros(1, 1)

    def take(self, raw):
        (value, begins), before = raw, self._last
        self._last, self._at = (value, begins), self._at + 1
        if before is None or begins:
            return None
        target = None if self._at % 5 == 0 else torch.tensor([[value]])
        return Event(torch.tensor([[before[0]]]), target, (value**2, (value - before[0]) ** 2), reset=before[1])

    @property
    def taken(self):
        return self._at

    def step_loss(self, output, target):
        return (output - target).square().mean()

    def stream_state(self):
        return {"at": self._at, "last_number": self._last}

    def load_stream_state(self, state):
        self._at, self._last = state["at"], state["last_number"]

    def input_size(self, model):
        return 1

    def readout(self, model):
        return nn.Linear(model.hidden_size, 1)

    def loss(self, outputs, chunk):
        raise NotImplementedError


@pytest.fixture
def numbers(tmp_path):
    lines = [" ".join(f"{(0.9 if block % 2 else -0.9) ** step:.6f}" for step in range(7)) for block in range(9)]
    path = tmp_path / "numbers.txt"
    path.write_text("\n".join(lines) + "\n")
    return path, lines


def _settings(path):
    told = OptimizationSettings(online=True, update_every=4, threads=1)
    return RunSettings(str(path), model=ModelSettings(hidden_size=4, num_layers=1), optimization=told)


def _weights(folder):
    return torch.load(folder / "last.ckpt", weights_only=True)["learner"]["model"]


def test_a_stream_of_numbers_is_learned_in_parts_as_at_once(numbers, tmp_path):
    path, lines = numbers
    said = []
    record = start(_settings(path), tmp_path / "whole", False, said.append, kind=Numbers)
    assert (record.outcome, record.task, record.data.units) == (Outcome.FINISHED, "numbers", "steps")
    assert (record.data.training_symbols, record.data.bytes) == (63, 0), "events are counted, their bytes are not known"
    assert record.results.updates == 9 * 6 // 4 and list(record.levels) == ["zero", "the number before"]
    assert any("MSE" in line or "baseline" in line for line in said) and "number before" in "".join(said)
    other = tmp_path / "grows.txt"
    other.write_text("\n".join(lines[:4]) + "\n")
    start(_settings(other), tmp_path / "parts", False, silent, kind=Numbers)
    other.write_text("\n".join(lines) + "\n")
    torch.manual_seed(99)
    again = resume(_settings(other), tmp_path / "parts", silent, kind=Numbers)
    assert again is not None and again.results.updates == record.results.updates
    torch.testing.assert_close(_weights(tmp_path / "whole"), _weights(tmp_path / "parts"), rtol=0, atol=0)
    task, model, _ = load_run(tmp_path / "whole", Numbers)
    assert isinstance(task, Numbers) and all(torch.isfinite(value).all() for value in model.state_dict().values())


def test_only_known_targets_count_and_a_series_begins_anew(numbers, tmp_path):
    path, lines = numbers
    start(_settings(path), tmp_path / "run", False, silent, kind=Numbers)
    tally = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["whole"]
    values = [float(word) for line in lines for word in line.split()]
    known = [t for t in range(63) if t % 7 and (t + 1) % 5]
    assert tally["events"] == len(known)
    assert tally["guesses"] == pytest.approx(
        [sum(values[t] ** 2 for t in known), sum((values[t] - values[t - 1]) ** 2 for t in known)], rel=1e-6
    )
    task = Numbers()
    events = [task.take(raw) for raw in itertools.chain(*task.open(str(path), False))]
    assert [t for t, event in enumerate(events) if event and event.reset] == list(range(1, 63, 7))


def test_the_learner_is_told_where_a_series_begins(numbers, tmp_path, monkeypatch):
    told, real = [], OnlineLearner.step

    def step(self, x_t, y_t=None, reset=None):
        told.append(reset is not None and reset.tolist() == [True])
        return real(self, x_t, y_t, reset)

    monkeypatch.setattr(OnlineLearner, "step", step)
    start(_settings(numbers[0]), tmp_path / "run", False, silent, kind=Numbers)
    assert told == ([True] + [False] * 5) * 9
