import numpy as np
import pytest
import torch
from runs.running import alphabet

from throughtime.data.streams import held_out_streams
from throughtime.runs.evaluation import evaluate
from throughtime.runs.model import SequenceModel
from throughtime.runs.settings import ModelSettings


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
