import pytest
import torch
from diagnosis.plain_loops import INPUT, B, H, Model, T, data, every_step, layer
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import throughtime as tt
from throughtime.records import NonFinite, Source

NAN, INF = float("nan"), float("inf")


def _flow(model: nn.Module, x: torch.Tensor, loss=every_step, features: int = H):
    return tt.gradient_flow(model, loss, x, data(features)[1])


def test_finite_numbers_are_no_finding():
    assert _flow(Model(layer("LSTM")), data(H)[0]).record.nonfinite is None


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_a_weight(bad):
    model = Model(layer("GRU", num_layers=2))
    with torch.no_grad():
        model.rnn.weight_hh_l1[3, 2] = bad
    flow = _flow(model, data(H)[0]).record
    assert flow.nonfinite == NonFinite(Source.WEIGHTS, "rnn.weight_hh_l1", -1, -1)
    below, above = flow.layers
    assert above.by_lag is None and above.gains is None and above.shares == [] and above.horizons == []
    assert below.gains is not None and len(below.by_step) == T


@pytest.mark.parametrize("bad", [NAN, INF])
def test_an_input(bad):
    x = data(H)[0]
    x[4, 2, 1] = x[6, 1, 0] = bad
    flow = _flow(Model(layer("RNN", num_layers=2)), x).record
    assert flow.nonfinite == NonFinite(Source.INPUT, "rnn.l0", 4, 2)


def test_an_input_of_the_second_direction_in_its_own_order():
    x = data(H)[0]
    rnn = layer("RNN", bidirectional=True)
    model = Model(rnn, lengths=[T, 0, 6, 1])
    x[7, 2] = x[3, 1] = NAN  # in padding, where nothing is read
    assert _flow(model, x, features=2 * H).record.nonfinite is None
    with torch.no_grad():
        rnn.h_0[1, 2] = INF  # a weight, so that it comes first
    assert _flow(model, x, features=2 * H).record.nonfinite == NonFinite(Source.WEIGHTS, "rnn.h_0", -1, -1)


@pytest.mark.parametrize("bad", [NAN, INF])
def test_a_state_that_is_handed_in(bad):
    """tanh of an infinity is finite, so that no later state shows it."""
    rnn, x = tt.LSTM(INPUT, H, 2, bias=False, dtype=torch.float64), data(H)[0]
    start = [torch.zeros(2, B, H, dtype=torch.float64) for _ in "hc"]
    start[1][1, 2, 3] = bad
    start[0][0, 1, 0] = NAN
    model = Model(rnn)
    model.forward = lambda x: rnn(x, tuple(start), lengths=[T, 0, 6, 1])  # row 1 has no step
    flow = tt.gradient_flow(model, lambda y, _: y[0][:3].square().sum(), x, None)
    assert flow.record.nonfinite == NonFinite(Source.INPUT, "rnn.l1", -1, 2)
    assert "the initial state of rnn.l1, passed in as hx, holds a NaN or an infinity in row 2" in flow.finding.sentence
    assert "Look at the state passed in as hx: row 2 of it is not finite" in flow.finding.suggestions[0]


def test_an_input_that_a_module_between_makes():
    model = nn.ModuleDict({"below": tt.RNN(INPUT, H), "above": tt.GRU(H, 2)})
    model.forward = lambda x: model["above"](model["below"](x)[0].masked_fill(broken, INF))[0]
    broken = torch.zeros(T, B, 1, dtype=torch.bool)
    broken[8, 3] = True
    flow = tt.gradient_flow(model, lambda y, _: y.sum(), data(H)[0].float(), None).record
    assert flow.nonfinite == NonFinite(Source.INPUT, "above.l0", 8, 3)


@pytest.mark.parametrize("way", ["", "_reverse"])
def test_a_state_that_overflows(way):
    """Of ReLU units with a gain of 1e10 in float32, from 1 at step 3 of row 1: 1e40 four steps later is none."""
    rnn = tt.RNN(1, 2, nonlinearity="relu", bias=False, bidirectional=bool(way))
    with torch.no_grad():
        for name, parameter in rnn.named_parameters():
            parameter.zero_() if not name.endswith(f"l0{way}") else parameter.fill_(1.0)
        rnn.get_parameter(f"weight_hh_l0{way}").copy_(1e10 * torch.eye(2))
    x = torch.zeros(T, B, 1)
    x[T - 1 - 3 if way else 3, 1] = 1
    flow = tt.gradient_flow(rnn, lambda y, _: y.sum(), x, None).record
    assert flow.nonfinite == NonFinite(Source.STATE, f"l0{way}", 7, 1)
    assert flow.layers[0].gains is None if not way else flow.layers[0].gains is not None


def test_a_state_in_the_last_step_that_no_later_step_reads():
    rnn = tt.RNN(1, 2, nonlinearity="relu", bias=False)
    with torch.no_grad():
        rnn.weight_ih_l0.fill_(1e30)
    x = torch.zeros(T, B, 1)
    x[T - 1, 2] = 1e30
    flow = tt.gradient_flow(rnn, lambda y, _: y[:3].sum(), x, None).record
    assert flow.nonfinite == NonFinite(Source.STATE, "l0", T - 1, 2)


def test_the_loss():
    flow = _flow(Model(layer("RNN")), data(H)[0], lambda output, w: every_step(output, w) * INF).record
    assert flow.nonfinite == NonFinite(Source.LOSS, "", -1, -1) and flow.loss in (INF, -INF)


def test_a_gradient_that_is_met_first_on_the_way_back():
    """√y² has the derivative 0/0 at 0, which masked outputs reach; the loss itself is finite."""
    hidden = torch.ones(T, B, 1, dtype=torch.float64)
    hidden[5, 1] = hidden[2, 3] = 0

    def loss(output, weights):
        return ((output[0] * hidden).square().sum(-1).sqrt() * weights[..., 0]).sum()

    flow = _flow(Model(layer("LSTM", num_layers=2)), data(H)[0], loss).record
    assert flow.nonfinite == NonFinite(Source.GRADIENT, "rnn.l1", 5, 1)
    for one in flow.layers:
        assert one.by_lag is not None and all(value == value for value in one.by_lag.mean)  # of the other samples
        assert one.gains is not None


def test_the_row_is_that_of_the_input_where_a_packed_sequence_runs_them_in_its_own_order():
    x, rnn = data(H)[0], layer("RNN")
    x[2, 3] = NAN
    model = Model(rnn, "packed", [4, 1, T, 6])
    assert _flow(model, x).record.nonfinite == NonFinite(Source.INPUT, "rnn.l0", 2, 3)
    packed = pack_padded_sequence(x, torch.tensor([4, 1, T, 6]), enforce_sorted=False)
    assert packed.sorted_indices.tolist() != [0, 1, 2, 3] and pad_packed_sequence(packed)[1].tolist() == [4, 1, T, 6]

    def loss(output, weights):
        return (output[0][1, 0].square().sum() * 0).sqrt() + every_step(output, weights)

    x[2, 3] = 1
    assert _flow(model, x, loss).record.nonfinite == NonFinite(Source.GRADIENT, "rnn.l0", 1, 0)
