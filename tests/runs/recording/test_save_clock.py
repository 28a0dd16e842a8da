import pytest

from throughtime.runs.recording import save_clock
from throughtime.runs.recording.save_clock import SaveClock


@pytest.fixture
def now(monkeypatch):
    time = [100.0]
    monkeypatch.setattr(save_clock.time, "monotonic", lambda: time[0])
    return time


def _due_after(clock, now):
    """Whole seconds until a checkpoint is due."""
    began = now[0]
    while not clock.due():
        now[0] += 1
    return now[0] - began


def _save(clock, now, seconds):
    with clock.saving():
        now[0] += seconds


def test_the_first_checkpoint_comes_after_seconds_and_the_others_as_wanted(now):
    clock = SaveClock(120)
    assert _due_after(clock, now) == 5
    _save(clock, now, 2)
    assert _due_after(clock, now) == 120
    assert _due_after(SaveClock(3), now) == 3


def test_checkpoints_that_take_long_are_rarer(now):
    clock = SaveClock(120)
    _save(clock, now, 7)
    assert _due_after(clock, now) == 350
