from diagnosis.plain_loops import B, H, Model, T, data, layer
from torch import nn

import throughtime as tt
from throughtime.diagnosis.clipped_steps import clipped_steps


def test_the_share_of_clipped_steps_is_that_of_the_layers_own_passes():
    x, weights = data(H)
    rnn = layer("RNN", gradient=tt.BPTT(clip_step=1.5))
    other = layer("RNN", gradient=tt.DoubleSum())
    model = nn.ModuleDict({"rnn": rnn, "other": other})
    model.forward = lambda x: rnn(x)[0] + other(x)[0]
    with tt.tap(model) as record:
        (weights * model(x) ** 2).sum().backward()
    expected = record.layers["rnn.l0"].clipped.double().mean().item()
    assert 0 < expected < 1
    loss = lambda y, w: (w * y**2).sum()  # noqa: E731
    assert clipped_steps(model, loss, x, weights) == {"rnn.l0": expected * T * B, "other.l0": 0}
    assert [one.clipped for one in tt.gradient_flow(model, loss, x, weights).record.layers] == [expected, 0.0]
    assert clipped_steps(other, loss, x, weights) == {}


def test_padding_is_no_step_that_could_have_been_clipped():
    x, weights = data(H)
    rnn = layer("RNN", bidirectional=True, gradient=tt.BPTT(clip_step=1e-9))
    model = Model(rnn, lengths=[T, 0, 1, 6])
    flow = tt.gradient_flow(model, lambda y, w: (w * y[0][..., :H] ** 2).sum(), x, weights, parts=[])
    assert [one.clipped for one in flow.record.layers] == [1.0, 0.0]
