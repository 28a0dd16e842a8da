import importlib.util
from dataclasses import replace

import pytest

from throughtime.errors import ArgumentError
from throughtime.records import StepNormRow, UpdateRow, read_metrics, read_table
from throughtime.runs.callbacks import board
from throughtime.runs.engine import start

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def _wanting(settings, **changes):
    return replace(settings, optimization=replace(settings.optimization, tensorboard=True, epochs=1, **changes))


def test_the_scalars_are_those_of_the_tables_and_the_folder_can_be_replaced(small_run, tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = tmp_path / "run"
    for overwrite in (False, True):
        start(_wanting(small_run), folder, overwrite, lambda line: None)
    (file,) = (folder / "tensorboard").iterdir()
    events = EventAccumulator(str(file), size_guidance={"scalars": 0})
    events.Reload()

    def read(name):
        return {event.step: event.value for event in events.Scalars(name)}

    updates = read_table(folder, "updates.csv", UpdateRow)
    assert read("train/loss") == pytest.approx({row.update: row.loss for row in updates}, rel=1e-6)
    assert read("gradient/norm") == pytest.approx({row.update: row.gradient_norm for row in updates}, rel=1e-6)
    steps = [row for row in read_table(folder, "step_norms.csv", StepNormRow) if row.layer == "recurrent.l1"]
    assert read("gradient/recurrent.l1/first") == pytest.approx(
        {row.update: row.norm for row in steps if row.step == 0}, rel=1e-6
    )
    assert read("validation/loss") == pytest.approx({144: read_metrics(folder)[0].validation_loss}, rel=1e-6)


def test_without_tensorboard_it_is_refused_before_any_work(small_run, tmp_path, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(board, "find_spec", lambda name: None if name == "tensorboard" else found(name))
    with pytest.raises(ArgumentError, match="tensorboard is True; it needs tensorboard, which is not installed"):
        start(_wanting(small_run), tmp_path / "run", False, lambda line: None)
    assert not (tmp_path / "run").exists()
