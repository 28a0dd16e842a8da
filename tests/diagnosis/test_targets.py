import pytest
import torch

from throughtime.data.streams import Chunk
from throughtime.diagnosis.targets import Targets, grouped, standard_error


def _series(starts, length=13, rows=3):
    """Windows whose series begin at (step, row); the targets are numbers of their places."""
    resets = torch.zeros(length, rows, dtype=torch.bool)
    for step, row in starts:
        resets[step, row] = True
    inputs = torch.arange(length * rows, dtype=torch.float32).reshape(length, rows, 1)
    return Chunk(inputs, inputs[..., 0] + 0.5, None, first=True, resets=resets if starts else None)


def test_without_the_beginnings_of_series_the_second_half_counts():
    targets = Targets.of(_series([]), 100)
    assert targets.steps.unique().tolist() == list(range(6, 13)) and len(targets) == 21
    assert torch.equal(targets.past, targets.steps) and targets.longest == 7, "of all of them so much is known"
    assert len(Targets.of(_series([]), 5)) == 5


def test_the_past_of_a_target_begins_with_its_series():
    chunk = _series([(0, 0), (4, 0), (9, 1)])
    targets = Targets.of(chunk, 100)
    past = dict(
        zip(zip(targets.steps.tolist(), targets.rows.tolist(), strict=True), targets.past.tolist(), strict=True)
    )
    assert past[3, 0] == 3 and past[4, 0] == 0 and past[12, 0] == 8 and past[10, 1] == 1 and past[8, 1] == 8
    assert (5, 1) not in past and (5, 2) not in past, "of these the beginning is not known"


def test_a_target_that_stands_in_several_windows_counts_once():
    chunk = _series([(0, 0), (0, 1), (0, 2)])
    origin = torch.stack((torch.tensor([5, 7, 5]).expand(13, 3), torch.arange(13)[:, None].expand(13, 3)), dim=-1)
    targets = Targets.of(chunk._replace(origin=origin), 100)
    assert len(targets) == 26 and targets.group.unique().tolist() == [0, 1]
    copies = _series([])._replace(inputs=torch.ones(13, 3, 1))
    assert len(Targets.of(copies, 100)) == 7


def test_a_cut_ends_at_the_target_and_starts_anew_where_its_series_does():
    chunk = _series([(4, 0)])
    targets = Targets.of(chunk, 100)
    cut = targets.cut(6)
    assert torch.equal(cut.inputs[-1], targets.gathered.inputs[:, 0])
    at = [(step, row) for step, row in zip(targets.steps.tolist(), targets.rows.tolist(), strict=True)].index((7, 0))
    assert cut.inputs[:, at, 0].tolist() == [6, 9, 12, 15, 18, 21] and cut.resets is not None
    assert cut.resets[:, at].tolist() == [False, False, True, False, False, False]


def test_the_error_is_that_between_groups():
    chunk = _series([(0, 0), (0, 1), (0, 2)])
    targets = Targets.of(chunk, 100)
    losses = grouped(lambda outputs, part: (outputs - part.targets).mean(), targets, torch.zeros(len(targets), 1))
    assert losses.tolist() == pytest.approx([-18.5, -19.5, -20.5])
    assert standard_error(torch.tensor([1.0, 2.0, 3.0, 4.0])) == pytest.approx(0.6455, rel=1e-3)
    assert standard_error(losses) != standard_error(losses), "of three groups nothing is known"
