"""Many small calls of every mode leave nothing behind: no memory, no open file, no Python object."""

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fuzz.strategies import EXAMPLES
from torch.nn.utils.rnn import pack_padded_sequence

import throughtime as tt
from throughtime.kernels import native

pytestmark = [
    pytest.mark.skipif(native.library() is None, reason="the compiled kernels are not installed"),
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory and files are read from Linux's /proc"),
]

CALLS = 100_000 if EXAMPLES else 10_000


def _modes() -> list[Callable[[], object]]:
    """Passes forward and backward, each with another option, and passes that keep nothing."""
    x, indices, lengths = torch.ones(3, 2, 2), torch.ones(3, 2, dtype=torch.int64), torch.tensor([3, 1])
    resets = torch.tensor([[False, True], [True, False], [False, False]])
    lstm, gru, states = tt.LSTM(2, 16), tt.GRU(2, 16, num_layers=2), tt.GRU(2, 16, gradient=tt.BPTT(save="states"))
    double, half = tt.RNN(2, 16, dtype=torch.float64), tt.RNN(2, 16, dtype=torch.bfloat16)
    checkpointed = tt.LSTM(2, 16, gradient=tt.CheckpointedBPTT(segments=2))
    packed = pack_padded_sequence(x, lengths)
    operator = torch.ops.throughtime.recurrence
    weights, zeros = [value.detach() for value in states.parameters()], [torch.zeros(2, 16)]

    def trained(layer, *arguments, **options):
        y = layer(*arguments, **options)[0]
        (y.data if isinstance(y, torch.nn.utils.rnn.PackedSequence) else y).sum().backward()
        layer.zero_grad()

    def refused():
        with pytest.raises(ValueError):
            gru(x[..., :1])

    return [
        lambda: trained(lstm, x),
        lambda: trained(lstm, x, lengths=lengths),
        lambda: trained(states, x.clone().requires_grad_(), resets=resets),
        lambda: trained(gru, packed),
        lambda: trained(double, x.double()),
        lambda: trained(half, x.bfloat16()),
        lambda: trained(checkpointed, indices),
        lambda: torch.no_grad()(gru)(x),
        lambda: torch.inference_mode()(lstm)(x),
        lambda: operator("gru", x, zeros, [], weights, None, None, None, False, "gates", 0.0),
        refused,
    ]


def _counts() -> dict[str, int]:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    files = len(os.listdir("/proc/self/fd"))
    return {"bytes": pages * os.sysconf("SC_PAGE_SIZE"), "files": files, "blocks": sys.getallocatedblocks()}


def test_many_calls_leave_nothing_behind():
    """The smallest memory that a call could lose, packed weights of 16 units, is more than 1 kB.

    Every mode counts alone: not every second of its calls may leave an object behind. Blocks are counted, so numbers
    and texts are too.
    """
    modes = _modes()
    for call in range(CALLS // 2):
        modes[call % len(modes)]()
    before = _counts()
    for call in range(CALLS):
        modes[call % len(modes)]()
    grown = {name: count - before[name] for name, count in _counts().items()}
    of_a_mode = CALLS // len(modes)
    assert grown["bytes"] < 1000 * of_a_mode and grown["files"] == 0 and grown["blocks"] < of_a_mode // 2, grown
