import math

import pytest
import torch
from torch.nn.functional import mse_loss

from throughtime.data.streams import Chunk
from throughtime.diagnosis.memory import memory_of

STEPS, ROWS, REACH = 60, 24, 5


def _sums(chunk):
    """The sum of the last five inputs since the state began."""
    resets = torch.zeros(chunk.inputs.shape[:2], dtype=torch.bool) if chunk.resets is None else chunk.resets
    kept, outputs = torch.zeros(chunk.inputs.shape[1], REACH), []
    for x, anew in zip(chunk.inputs[..., 0], resets, strict=True):
        kept = torch.cat((torch.where(anew[:, None], 0.0, kept)[:, 1:], x[:, None]), dim=1)
        outputs.append(kept.sum(1))
    return torch.stack(outputs)[..., None]


def _loss(outputs, chunk):
    return mse_loss(outputs[..., 0], chunk.targets)


def _noise(seed):
    return torch.randn(STEPS, ROWS, 1, generator=torch.Generator().manual_seed(seed))


def _memory(forward, x, targets, naive=5.0):
    return memory_of(forward, _loss, lambda inputs: inputs, Chunk(x, targets, None, first=True), naive)


def test_the_past_that_a_model_uses_is_found():
    x = _noise(0)
    memory = _memory(_sums, x, _sums(Chunk(x, x, None, first=True))[..., 0])
    assert memory.whole == 0 and memory.learned and memory.used == 6, "6 is the first length measured that holds 5"
    losses = {context.steps: context.loss for context in memory.contexts}
    assert losses[1] == pytest.approx(4, rel=0.3) and losses[4] == pytest.approx(1, rel=0.3) and losses[6] == 0
    assert [context.steps for context in memory.contexts] == [1, 2, 3, 4, 6, 8, 11, 16, 23]
    assert memory.better_without is None and memory.missed(0) is None


def test_an_unused_lag_is_found_with_what_it_would_gain():
    x = _noise(1)
    targets = torch.cat((torch.zeros(9, ROWS), 2 * x[:-9, :, 0]))
    memory = _memory(lambda chunk: torch.zeros(*chunk.inputs.shape[:2], 1), x, targets, naive=4.0)
    missed = memory.missed(7)
    assert (missed.low, missed.high, missed.lag) == (8, 15, 9)
    assert missed.gain == pytest.approx(4, rel=0.1) and missed.error < 0.4
    assert memory.missed(8) is None, "within reach"
    assert all(abs(band.gain) < 0.1 for band in memory.unused if band.low != 8)


def test_a_marker_that_says_which_number_counts_is_seen_by_its_product():
    generator = torch.Generator().manual_seed(3)
    value = torch.randn(STEPS, ROWS, generator=generator)
    mark = (torch.rand(STEPS, ROWS, generator=generator) < 0.1).float()
    targets = torch.cat((torch.zeros(20, ROWS), (value * mark)[:-20]))
    x = torch.stack((value, mark), dim=-1)
    memory = _memory(lambda chunk: torch.zeros(*chunk.inputs.shape[:2], 1), x, targets, naive=0.1)
    assert memory.missed(15).lag == 20


@pytest.mark.parametrize("seed", range(20))
def test_in_noise_nothing_is_missed(seed):
    x, targets = _noise(seed), _noise(seed + 100)[..., 0]
    memory = _memory(lambda chunk: chunk.inputs * 0.01, x, targets, naive=1.0)
    assert memory.missed(0) is None and memory.better_without is None


def test_a_state_that_does_harm_is_found():
    """The longer it runs, the further the output drifts from the target."""
    x = _noise(2)

    def drifting(chunk):
        resets = torch.zeros(chunk.inputs.shape[:2], dtype=torch.bool) if chunk.resets is None else chunk.resets
        at = torch.arange(len(resets))[:, None].expand_as(resets)
        return (at - torch.where(resets, at, 0).cummax(0).values)[..., None] * 0.1 + chunk.inputs

    better = _memory(drifting, x, x[..., 0]).better_without
    assert better.steps == 1 and better.loss == 0


def test_what_cannot_be_measured_is_left_out():
    x = _noise(0)
    assert _memory(lambda chunk: chunk.inputs * math.nan, x, x[..., 0]) is None
    masked = Chunk(x, x[..., 0], torch.zeros(STEPS, ROWS, dtype=torch.bool), first=True)
    assert memory_of(lambda chunk: chunk.inputs, _loss, lambda inputs: inputs, masked, None) is None
    few = memory_of(
        lambda chunk: chunk.inputs, _loss, lambda inputs: inputs, Chunk(x[:, :3], x[:, :3, 0], None, True), None
    )
    assert few.unused == [] and few.learned and math.isnan(few.contexts[0].error)
