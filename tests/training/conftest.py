import numpy as np
import pytest
import torch

import throughtime as tt
from throughtime.runs import whole

SMALL = {
    "hidden_size": 5, "num_layers": 1, "epochs": 2, "learning_rate": 0.02, "warm_up": 2, "threads": 1,
    "accelerator": "cpu",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _one_thread():
    """Models this small only lose by threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _without_pages(monkeypatch):
    """The page of the command takes longer than the trainings here."""

    def no_page(folder, **_):
        raise tt.UnsupportedError("no page here")

    monkeypatch.setattr(whole, "report_of_run", no_page)


def machines(count=15, seed=0):
    """Rows of machines: an id that is a number, times, a number with gaps, words, a class per machine."""
    chance = np.random.default_rng(seed)
    rows = []
    for machine in range(count):
        for hour in range(int(chance.integers(1, 9))):
            heat = None if (machine, hour) == (3, 0) else float(chance.normal(machine % 3, 0.3))
            kind = "bad" if machine % 3 == 0 else "good"
            rows.append({"machine": 70 + machine, "hour": hour, "heat": heat, "mode": "ab"[hour % 2], "kind": kind})
    return rows


@pytest.fixture(scope="session")
def fitted(tmp_path_factory):
    """A run that was fitted to a frame of pandas, and the frame."""
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame(machines())
    data = tt.data.read(frame, target="kind", id="machine", time="hour")
    return tt.training.fit(data, folder=tmp_path_factory.mktemp("fitted") / "run", **SMALL), frame
