"""Numbers of numpy as options of gradient methods, cells and learners: taken, and kept as plain numbers."""

import numpy as np
import pytest
import torch
from torch import nn

import throughtime as tt
from throughtime.cells import ElmanCell, FunctionCell, GRUCell, LSTMCell
from throughtime.errors import ArgumentError, ArgumentTypeError

SAME = {
    "TruncatedBPTT": lambda whole, _: tt.TruncatedBPTT(whole(2)),
    "SnAp": lambda whole, _: tt.SnAp(whole(1)),
    "UORO": lambda whole, _: tt.UORO(seed=whole(7)),
    "CheckpointedBPTT": lambda whole, _: tt.CheckpointedBPTT(segments=whole(2)),
    "CheckpointedBPTT-memory": lambda whole, _: tt.CheckpointedBPTT(memory=whole(2000)),
    "RFLO": lambda _, real: tt.RFLO(leak=real(0.5)),
    "BPTT": lambda _, real: tt.BPTT(clip_step=real(1.5)),
    "BPTT-whole": lambda whole, _: tt.BPTT(clip_step=whole(1)),
    "ElmanCell": lambda whole, _: ElmanCell(whole(3), whole(5)),
    "GRUCell": lambda whole, _: GRUCell(whole(3), whole(5)),
    "LSTMCell": lambda whole, _: LSTMCell(whole(3), whole(5), proj_size=whole(2)),
}


@pytest.mark.parametrize("name", SAME)
def test_the_record_is_that_of_plain_numbers(name: str):
    ours, plain = SAME[name](np.int64, np.float32), SAME[name](int, float)
    assert repr(ours) == repr(plain) and ours == plain


def test_the_sizes_of_a_function_cell():
    one = FunctionCell(torch.add, {}, np.int64(5), np.int64(5))
    two = FunctionCell(torch.add, {}, {"h": np.int64(5), "v": np.int8(4)}, 5)
    assert (one.hidden_size, one.input_size, two.hidden_size) == (5, 5, {"h": 5, "v": 4})
    assert {type(size) for size in (one.hidden_size, one.input_size, *two.state_sizes.values())} == {int}


@pytest.mark.parametrize("value", [True, "2", None, 2.0, 2j])
def test_what_is_no_whole_number_is_refused(value):
    for make in (tt.TruncatedBPTT, tt.SnAp, lambda seed: tt.UORO(seed=seed), lambda size: GRUCell(3, size)):
        with pytest.raises(ArgumentTypeError, match="it must be a whole number"):
            make(value)


@pytest.mark.parametrize("value", [True, "1", torch.tensor(1.0), 1j])
def test_what_is_no_real_number_is_refused(value):
    for argument, make in (("clip_step", lambda c: tt.BPTT(clip_step=c)), ("leak", lambda c: tt.RFLO(leak=c))):
        with pytest.raises(ArgumentError, match=f"^{argument} is "):
            make(value)


def test_a_learner_saves_plain_numbers():
    model = tt.RNN(3, 5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    learner = tt.OnlineLearner(model, nn.functional.mse_loss, optimizer, update_every=np.int64(2), clip=np.float32(1))
    assert type(learner.update_every) is int


def test_steps_of_a_network_without_inputs():
    layer = tt.Recurrent(ElmanCell(0, 3, nonlinearity="identity"))
    exponents = tt.lyapunov_exponents(layer, np.int64(50), discard=np.int64(10))
    assert exponents == tt.lyapunov_exponents(layer, 50, discard=10) and type(exponents.discarded) is int
