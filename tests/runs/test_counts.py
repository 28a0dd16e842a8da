"""Counts that are bools or floats, which Python would let pass, are refused wherever a run is put together."""

from pathlib import Path

import pytest
from runs.running import alphabet, silent

from throughtime.data.streams import windows
from throughtime.errors import ArgumentError
from throughtime.runs.callbacks.diagnoses import Diagnoses
from throughtime.runs.callbacks.progress_bar import RunBar
from throughtime.runs.callbacks.recorder import Recorder
from throughtime.runs.interruption import Interruption
from throughtime.runs.model import SequenceModel
from throughtime.runs.module import SequenceTraining
from throughtime.runs.recording.history import History
from throughtime.runs.recording.save_clock import SaveClock
from throughtime.runs.recording.time_limit import TimeLimit
from throughtime.runs.settings import ModelSettings, OptimizationSettings

TASK = alphabet(3)


def _recorder(**counts):
    counts = {"updates_per_epoch": 3, "validate_every": 2} | counts
    return Recorder(
        Path("x"), None, interruption=Interruption(""), clock=SaveClock(1.0), limit=TimeLimit(0, 0), **counts
    )


def _training(total_updates):
    model = SequenceModel(TASK, ModelSettings(hidden_size=2, num_layers=1))
    return SequenceTraining(TASK, model, OptimizationSettings(), total_updates)


@pytest.mark.parametrize("value", [True, 2.0, 2.5, -1])
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("total_updates", History),
        ("total_updates", _training),
        ("updates_per_epoch", lambda value: _recorder(updates_per_epoch=value)),
        ("validate_every", lambda value: _recorder(validate_every=value)),
        ("every", lambda value: Diagnoses(Path("x"), TASK, lambda *_: None, windows, value)),
        ("epochs", lambda value: RunBar(silent, TASK, {}, value)),
    ],
)
def test_a_count_is_a_whole_number(name, make, value):
    with pytest.raises(ArgumentError, match=f"{name} is {value}; it must be a whole number"):
        make(value)
