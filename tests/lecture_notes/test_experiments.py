"""The statements of [T] about reach and clipping: each experiment repeated another way."""

import pytest
import torch

from throughtime.lecture_notes.experiments import LONGEST


@pytest.fixture
def numbers(equation, system):
    def of(number: str, reading: str = "") -> dict[str, float]:
        experiment = equation("T", number, reading).experiment(system)
        assert experiment.shown
        return dict(experiment.numbers)

    return of


def _first_below(factor: float) -> int:
    return next(lag for lag in range(1, LONGEST) if factor**lag < 0.01)


def test_reach_is_no_constant(numbers):
    measured = numbers("8–10 steps")
    assert measured["half"] == _first_below(0.5) == 7
    assert measured["nine"] == _first_below(0.9) == 44
    assert measured["one"] == LONGEST
    assert measured["loud"] < measured["quiet"] < measured["strong"]


def test_lstm_reaches_as_far_as_its_forget_gate(numbers):
    measured = numbers("LSTM")
    for name, bias in (("default", 0.0), ("one", 1.0), ("four", 4.0)):
        assert measured[name] == _first_below(torch.sigmoid(torch.tensor(bias, dtype=torch.float64)).item())


def test_clipping_watches_the_wrong_quantity(numbers):
    measured = numbers("clipping", "the quantity")
    assert measured["far"] / measured["near"] > 1e5
    assert 0 < measured["output"] < 1


def test_clipping_test_is_one_sided(numbers):
    measured = numbers("clipping", "the test")
    assert measured["largest"] == -1000 and measured["norm"] == pytest.approx(90) and measured["flagged"] == 0


def test_clipping_single_entries_turns_the_gradient(equation, printed, system):
    row = equation("T", "clipping", "the rescaling")
    right, entrywise = row.corrected(system), printed("T", "clipping", "the rescaling")
    for good, bad in zip(right, entrywise, strict=True):
        assert good.norm().item() == pytest.approx(1)
        assert bad.norm() > 1e3
        assert torch.cosine_similarity(good.flatten(), bad.flatten(), dim=0) < 0.95
