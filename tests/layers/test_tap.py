import pytest
import torch
from oracles import relative, unrolled

import throughtime as tt

T, B = 7, 4
LENGTHS = [7, 0, 1, 4]


@pytest.mark.parametrize("method", [tt.BPTT(), tt.DoubleSum(), tt.DoubleSum(order="forward")], ids=repr)
def test_norms_are_those_of_the_total_gradient_at_each_state(method):
    lstm = tt.LSTM(3, 5, gradient=method, dtype=torch.float64)
    x = torch.randn(T, B, 3, dtype=torch.float64)
    resets = torch.zeros(T, B, dtype=torch.bool)
    resets[3, 0] = True
    h_0, c_0 = torch.randn(1, B, 5, dtype=torch.float64), torch.randn(1, B, 5, dtype=torch.float64)
    weights = torch.randn(T, B, 5, dtype=torch.float64)
    with tt.tap(lstm) as tap:
        y, _ = lstm(x, (h_0, c_0), lengths=LENGTHS, resets=resets)
    (y * weights).sum().backward()

    twin = torch.nn.LSTMCell(3, 5, dtype=torch.float64)
    twin.load_state_dict({name.removesuffix("_l0"): value for name, value in lstm.state_dict().items()})
    zeros = (torch.zeros(B, 5, dtype=torch.float64),) * 2
    outputs, _, visited = unrolled(twin, x, (h_0[0], c_0[0]), zeros, LENGTHS, resets)
    for (t, row), (h, _) in visited.items():
        (expected,) = torch.autograd.grad((outputs * weights).sum(), h, retain_graph=True, materialize_grads=True)
        assert relative(tap.layers["l0"].norms["h"][t, row], expected.norm()) <= 1e-12
    padded = torch.arange(T)[:, None] >= torch.tensor(LENGTHS)
    assert torch.count_nonzero(tap.layers["l0"].norms["h"][padded]) == 0


def test_the_cell_state_has_norms_of_its_own():
    """∂L/∂c_t with h_t held fixed: at the last step what the loss says, one step earlier f ⊙ that of the next."""
    lstm = tt.LSTM(3, 5, dtype=torch.float64)
    x, weight = torch.randn(2, 1, 3, dtype=torch.float64), torch.randn(1, 5, dtype=torch.float64)
    with tt.tap(lstm) as tap:
        _, (_, c) = lstm(x)
    (c[0] * weight).sum().backward()
    with torch.no_grad():
        _, (h_1, _) = lstm(x[:1])
        a = lstm.weight_ih_l0 @ x[1, 0] + lstm.bias_ih_l0 + lstm.weight_hh_l0 @ h_1[0, 0] + lstm.bias_hh_l0
    forget = torch.sigmoid(a[5:10])
    norms = tap.layers["l0"].norms["c"][:, 0]
    assert relative(norms, torch.stack(((forget * weight).norm(), weight.norm()))) <= 1e-14


def test_layers_and_directions_are_named_within_the_model():
    model = torch.nn.ModuleDict({"below": tt.GRU(3, 4, 2, bidirectional=True), "top": tt.RNN(8, 2)})
    with tt.tap(model) as tap:
        y, _ = model["below"](torch.randn(T, B, 3))
        model["top"](y)[0].sum().backward()
    assert list(tap.layers) == [
        "below.l0", "below.l0_reverse", "below.l1", "below.l1_reverse", "top.l0"
    ]  # fmt: skip
    assert all(layer.norms["h"].shape == (T, B) and (layer.norms["h"] > 0).all() for layer in tap.layers.values())


def test_outside_the_block_nothing_is_recorded():
    rnn = tt.RNN(3, 4)
    with tt.tap(rnn) as tap:
        pass
    rnn(torch.randn(T, B, 3))[0].sum().backward()
    assert tap.layers == {} and rnn.tap is None


def test_a_tap_entered_again_records_anew_also_within_itself():
    rnn = tt.RNN(3, 4)
    tapping, records = tt.tap(rnn), []
    with tapping as first:
        rnn(torch.randn(T, B, 3))[0].sum().backward()
        with tapping as inner:
            assert rnn.tap is inner
        assert rnn.tap is first
    for steps in (2, 5):
        assert rnn.tap is None
        with tapping as record:
            rnn(torch.randn(steps, B, 3))[0].sum().backward()
        records.append(record)
    assert rnn.tap is None and inner.layers == {}
    assert [len(one.layers["l0"].norms["h"]) for one in (first, *records)] == [T, 2, 5]


def test_clipped_steps_are_marked():
    rnn = tt.RNN(3, 4, gradient=tt.BPTT(clip_step=1.0))
    with tt.tap(rnn) as tap:
        y, _ = rnn(torch.randn(T, B, 3))
    (100 * y[4, 1]).sum().backward()
    record = tap.layers["l0"]
    assert record.clipped is not None and record.clipped[4, 1]
    assert torch.equal(record.clipped, record.norms["h"] > 1.0)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_the_first_nonfinite_step_is_named_in_the_order_of_the_backward_pass(bad):
    model = torch.nn.ModuleDict({"below": tt.RNN(3, 4), "top": tt.LSTM(4, 2)})
    with tt.tap(model) as tap:
        y, _ = model["top"](model["below"](torch.randn(T, B, 3))[0])
    gradient = torch.ones_like(y)
    gradient[5, 2] = gradient[1, 3] = bad
    assert tap.first_nonfinite() is None
    y.backward(gradient)
    assert tap.first_nonfinite() == ("top.l0", 5, 2)
