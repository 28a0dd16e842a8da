import numpy as np
import pytest
import torch
from runs.running import alphabet

from throughtime.data.streams import Streams, held_out_streams
from throughtime.runs.evaluation import evaluate
from throughtime.runs.model import SequenceModel
from throughtime.runs.settings import ModelSettings
from throughtime.runs.tasks.base import FileTask


@pytest.mark.parametrize("length", [2, 501, 4002])
def test_the_mean_is_over_every_symbol_with_the_same_weight(length):
    task = alphabet(5)
    model = SequenceModel(task, ModelSettings(hidden_size=6, num_layers=1)).double().eval()
    codes = np.random.default_rng(2).integers(0, 5, length).astype(np.int32)
    losses = []
    streams = 1 if length < 4001 else 2
    steps = -(-(length - 1) // streams)
    text = torch.from_numpy(codes).long()
    for start in range(0, length - 1, steps):
        targets = text[start + 1 : start + 1 + steps]
        logits, _ = model(text[start : start + len(targets)].unsqueeze(1))
        losses.append(-logits.squeeze(1).log_softmax(-1)[range(len(targets)), targets])
    expected = torch.cat(losses)
    assert len(expected) == length - 1
    (metric,) = evaluate(task, model, held_out_streams(codes))
    assert (metric.name, metric.unit) == ("cross-entropy", "nats")
    assert metric.value == pytest.approx(expected.mean().item(), rel=1e-12)


class _Frames(FileTask):
    """Frames of three numbers by their mean squared error; the mask tells which steps count."""

    name = "frames"
    fit = from_record = prepare = read = input_size = readout = None

    def loss(self, outputs, chunk):
        errors = (outputs - chunk.targets).square()
        return errors.mean() if chunk.mask is None else errors[chunk.mask].mean()


@pytest.mark.parametrize("dims", [2, 3])
def test_a_masked_chunk_of_frames_weighs_as_much_as_its_steps(dims):
    """Beside a chunk without a mask, whether the mask has a number per step or per target."""
    outputs, targets, mask = torch.randn(9, 2, 3), torch.randn(9, 2, 3), torch.ones(9, 2, dtype=torch.bool)
    mask[6:, 1] = False
    mask = mask if dims == 2 else mask[..., None].expand(9, 2, 3)
    streams = Streams(outputs, targets, mask)
    chunks = [streams.chunk(start, 4) for start in (0, 4, 8)]
    assert [chunk.mask is None for chunk in chunks] == [True, False, False]
    task = _Frames()
    assert [task.count(chunk) for chunk in chunks] == [24, 18, 3]
    (metric,) = task.metrics((chunk.inputs, chunk) for chunk in chunks)
    assert metric.value == pytest.approx((outputs - targets).square()[mask].mean().item(), rel=1e-6)
