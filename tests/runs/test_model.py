import pytest
import torch
from runs.running import alphabet

import throughtime as tt
from throughtime.runs.model import SequenceModel, build_recurrent, detached
from throughtime.runs.settings import ModelSettings

SETTINGS = ModelSettings(hidden_size=7, num_layers=3)
TASK = alphabet(11, embedding_size=5)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_a_text_read_in_pieces_gives_the_logits_of_the_text_read_at_once(cell):
    model = SequenceModel(TASK, ModelSettings(cell=cell, hidden_size=7, num_layers=3)).double()
    symbols = torch.randint(0, 11, (13, 4))
    whole, last = model(symbols)
    first, state = model(symbols[:5])
    second, state = model(symbols[5:], state)
    assert whole.shape == (13, 4, 11)
    torch.testing.assert_close(torch.cat([first, second]), whole, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(state, last, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("cell", "kind"), [("lstm", tt.LSTM), ("gru", tt.GRU), ("rnn", tt.RNN)])
def test_the_cell_of_the_settings_is_built(cell, kind):
    settings = ModelSettings(cell=cell, hidden_size=7, num_layers=3, dropout=0.25)
    layers = build_recurrent(2, settings, tt.BPTT(clip_step=0.5))
    assert type(layers) is kind
    assert (layers.hidden_size, layers.num_layers, layers.dropout) == (7, 3, 0.25)
    assert layers.gradient == tt.BPTT(clip_step=0.5)


def test_the_nonlinearity_reaches_the_cell():
    settings = ModelSettings(cell="rnn", nonlinearity="identity", hidden_size=3, num_layers=1)
    layers = build_recurrent(2, settings)
    with torch.no_grad():
        for value in layers.parameters():
            value.fill_(1.0)
    outputs, _ = layers(torch.full((1, 1, 2), 10.0))
    assert outputs.flatten().tolist() == [22.0] * 3


def test_an_embedding_of_size_zero_is_as_wide_as_the_hidden_state():
    assert SequenceModel(alphabet(11), ModelSettings(hidden_size=6)).embedding.weight.shape == (11, 6)
    assert SequenceModel(TASK, SETTINGS).embedding.weight.shape == (11, 5)


def test_one_layer_drops_above_itself_without_a_warning(recwarn):
    model = SequenceModel(TASK, ModelSettings(hidden_size=64, num_layers=1, dropout=0.5))
    symbols = torch.randint(0, 11, (9, 4))
    assert not recwarn.list
    assert not torch.equal(model(symbols)[0], model(symbols)[0])
    model.eval()
    assert torch.equal(model(symbols)[0], model(symbols)[0])


def test_a_detached_state_has_no_history():
    model = SequenceModel(TASK, SETTINGS)
    _, state = model(torch.randint(0, 11, (3, 2)))
    assert all(member.requires_grad for member in state)
    cut = detached(state)
    assert not any(member.requires_grad for member in cut)
    torch.testing.assert_close(cut, tuple(member.detach() for member in state), rtol=0, atol=0)
    assert detached(None) is None
