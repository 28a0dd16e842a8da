import math
from dataclasses import replace

import pytest
import torch

from throughtime.records import StepNormRow, UpdateRow, read_table
from throughtime.runs.recording import history as module
from throughtime.runs.recording.history import History
from throughtime.sequences.tap import LayerTap


def _row(update, norm=1.5):
    return UpdateRow(update, 2.0 + update, norm, 0.5, 0.25)


def test_there_is_a_row_for_every_update_of_a_short_run_and_evenly_spaced_ones_of_a_long_one(monkeypatch):
    monkeypatch.setattr(module, "LONGEST", 8)
    kept = History(10)
    for update in range(1, 9):
        kept.note(_row(update))
    assert kept.updates == [_row(update) for update in range(1, 9)]
    for update in range(9, 40):
        kept.note(_row(update))
        assert len(kept.updates) <= 8
    assert [row.update for row in kept.updates] == [1, 9, 17, 25, 33]


def test_a_gradient_that_is_not_finite_always_has_its_row(monkeypatch):
    monkeypatch.setattr(module, "LONGEST", 8)
    kept = History(10)
    for update in range(1, 40):
        kept.note(_row(update, {6: math.inf, 30: math.nan}.get(update, 1.5)))
    assert [row.update for row in kept.updates] == [1, 6, 9, 17, 25, 30, 33]


@pytest.mark.parametrize(("total", "few"), [(1, 1), (59, 59), (60, 60), (61, 31), (100_000, 60)])
def test_snapshots_begin_with_the_first_update_and_are_at_most_sixty(total, few):
    wanted = [update for update in range(1, total + 1) if History(total).wants(update)]
    assert wanted[0] == 1 and len(wanted) == few
    assert len({second - first for first, second in zip(wanted, wanted[1:], strict=False)}) <= 1


def test_a_snapshot_is_the_root_mean_square_over_rows_of_all_members(tmp_path):
    h, c = torch.rand(5, 3, dtype=torch.float64), torch.rand(5, 3, dtype=torch.float64)
    kept = History(7)
    kept.note(_row(3))
    kept.take(3, {"recurrent.l0": LayerTap(("h", "c"), {"h": h, "c": c}), "l1": LayerTap(("h",), {"h": h})}, first=2)
    kept.write(tmp_path)
    rows = read_table(tmp_path, "step_norms.csv", StepNormRow)
    assert [(row.update, row.layer, row.step) for row in rows] == [
        *((3, "recurrent.l0", step) for step in range(3)),
        *((3, "l1", step) for step in range(3)),
    ]
    expected = (torch.cat((h, c), dim=1)[2:].square().sum(dim=1) / 3).sqrt()
    assert [row.norm for row in rows[:3]] == pytest.approx(expected.tolist(), rel=1e-14)
    assert read_table(tmp_path, "updates.csv", UpdateRow) == [_row(3)]


def test_of_a_long_chunk_evenly_spaced_steps_are_kept_with_the_first_and_the_last():
    kept = History(7)
    kept.take(1, {"l0": LayerTap(("h",), {"h": torch.arange(1000.0)[:, None]})}, first=0)
    (one,) = kept.snapshots
    assert len(one.steps) == 128 and (one.steps[0], one.steps[-1]) == (0, 999) and len(set(one.steps)) == 128
    assert one.norms == [float(step) for step in one.steps]


def test_a_history_goes_through_a_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LONGEST", 8)
    whole, part = History(30), History(30)
    for update in range(1, 20):
        part.note(_row(update))
        part.take(update, {"l0": LayerTap(("h",), {"h": torch.full((2, 1), float(update))})}, first=0)
    torch.save(part.state_dict(), tmp_path / "state")
    whole.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    for one in (whole, part):
        one.note(_row(20))
        one.note(_row(21))
    assert whole.updates == part.updates and whole.snapshots == part.snapshots
    assert whole.state_dict() == part.state_dict()
    assert replace(whole.updates[-1], update=0) != whole.updates[-1] and whole.updates[-1].update == 21
