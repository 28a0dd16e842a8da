import pytest
import torch
from oracles import relative
from torch import nn
from torch.nn.functional import mse_loss

import throughtime as tt
from throughtime.errors import ArgumentError, UnsupportedError
from throughtime.models import lags
from throughtime.models.bias import Agreement, gradient_bias

T, B, INPUT, H = 11, 4, 3, 5
LENGTHS = [11, 0, 1, 6]


class _Model(nn.Module):
    """Two stacked layers in both directions, dropout between and after them, and a readout; lengths and resets."""

    def __init__(self, masks: str = "", kind=tt.LSTM, dropout: float = 0.0, layers: int = 2):
        super().__init__()
        both = {"bidirectional": True} if layers > 1 else {}
        self.rnn = kind(INPUT, H, num_layers=layers, dropout=dropout, dtype=torch.float64, **both)
        self.drop = nn.Dropout(dropout)
        self.readout = nn.Linear(H * (1 + bool(both)), 2, dtype=torch.float64)
        resets = torch.zeros(T, B, dtype=torch.bool)
        resets[0, 3] = resets[4, 0] = resets[9, 0] = resets[3, 3] = True
        self.options = {"lengths": LENGTHS} if "lengths" in masks else {}
        self.options |= {"resets": resets} if "resets" in masks else {}

    def forward(self, x):
        h, final = self.rnn(x, **self.options)
        return self.readout(self.drop(h)) + (final[0] if isinstance(final, tuple) else final).sum(), final


def _data():
    return torch.randn(T, B, INPUT, dtype=torch.float64), torch.randn(T, B, 2, dtype=torch.float64)


MASKS = pytest.mark.parametrize("masks", ["plain", "lengths", "resets", "lengths-and-resets"])


@MASKS
@pytest.mark.parametrize("method", [tt.BPTT(save="states"), tt.DoubleSum(), tt.TruncatedBPTT(T)], ids=repr)
def test_an_exact_method_has_no_bias_at_any_lag(method, masks):
    bias = gradient_bias(method, _Model(masks, layers=1), mse_loss, *_data())
    assert list(bias.by_lag) == [range(0, 1), range(1, 2), range(2, 4), range(4, 8), range(8, 11)]
    for one in (bias.total, *bias.by_parameter.values(), *bias.by_lag.values()):
        assert one.error <= 1e-9 and one.cosine == pytest.approx(1, abs=1e-12)
    empty = [lags for lags, one in bias.by_lag.items() if not one.norm]
    assert empty == ([range(8, 11)] if masks == "lengths-and-resets" else [])  # no row has so many steps in a piece


@MASKS
def test_a_truncation_has_all_of_the_lags_below_its_horizon_and_none_beyond(masks):
    bias = gradient_bias(tt.TruncatedBPTT(3), _Model(masks), mse_loss, *_data(), lags=[1, 3, 4, T])
    below, beyond = list(bias.by_lag.values())[:2], list(bias.by_lag.values())[2:]
    assert all(one.error <= 1e-11 and one.norm > 0 for one in below)
    for one in beyond:
        assert one.norm > 1e-6 and (one.estimated_norm, one.cosine, one.error) == (0, 0, 1)
    assert 0 < bias.total.error < 1 and 0 < bias.total.cosine < 1
    assert bias.by_parameter["readout.weight"].error <= 1e-12 < bias.by_parameter["rnn.weight_hh_l1"].error


@MASKS
def test_the_exact_parts_of_all_lags_are_the_exact_gradient(masks, monkeypatch):
    seen = []
    monkeypatch.setattr("throughtime.models.bias._by_lag", lambda method, runs, _: seen.extend(runs) or {})
    model, (x, y) = _Model(masks), _data()
    gradient_bias(tt.TruncatedBPTT(1), model, mse_loss, x, y)
    mse_loss(model(x)[0], y).backward()
    assert len(seen) == 4  # two layers, two directions
    for run in seen:
        parts = lags.exact_by_lag(run, [range(0, 2), range(2, 3), range(3, 50)])
        for name, parameter in run.parameters.items():
            assert relative(sum(part[name] for part in parts), parameter.grad) <= 1e-13


def test_a_truncated_gradient_is_the_sum_of_its_parts():
    """By way of the method's own windows, in chunks of a few of them."""
    model, (x, y) = _Model("lengths-and-resets", layers=1), _data()
    whole = gradient_bias(tt.TruncatedBPTT(4), model, mse_loss, x, y, lags=[T])
    (band,) = whole.by_lag.values()
    own = [one for name, one in whole.by_parameter.items() if name.startswith("rnn")]
    assert band.norm == pytest.approx(sum(one.norm**2 for one in own) ** 0.5, rel=1e-12)
    assert band.estimated_norm == pytest.approx(sum(one.estimated_norm**2 for one in own) ** 0.5, rel=1e-12)


def test_the_windows_are_run_in_chunks_with_the_same_result(monkeypatch):
    model, (x, y) = _Model("lengths-and-resets"), _data()
    at_once = gradient_bias(tt.TruncatedBPTT(3), model, mse_loss, x, y)
    rows = []
    chunk = lags._windows
    monkeypatch.setattr(lags, "WINDOW_ELEMENTS", 1)
    monkeypatch.setattr(lags, "_windows", lambda run, length, t, row: rows.append(len(t)) or chunk(run, length, t, row))
    few = gradient_bias(tt.TruncatedBPTT(3), model, mse_loss, x, y)
    assert max(rows) == B
    for lag, one in few.by_lag.items():
        assert one.estimated_norm == pytest.approx(at_once.by_lag[lag].estimated_norm, rel=1e-9, abs=1e-12)


def test_a_loss_at_the_last_step_only_makes_one_window_a_row(monkeypatch):
    model, (x, y), rows = _Model(layers=1), _data(), []
    chunk = lags._windows
    monkeypatch.setattr(lags, "_windows", lambda run, length, t, row: rows.append(len(t)) or chunk(run, length, t, row))
    monkeypatch.setattr(model, "forward", lambda x: model.rnn(x)[0][-1, :, :2])
    bias = gradient_bias(tt.TruncatedBPTT(5), model, mse_loss, x, y[-1], lags=[5, T])
    assert rows == [B, B, B] and bias.by_lag[range(0, 5)].error <= 1e-12


def test_dropout_is_the_same_in_both_passes_and_nothing_is_left_behind():
    model, (x, y) = _Model(dropout=0.5).train(), _data()
    model.norm = nn.BatchNorm1d(2, dtype=torch.float64)
    forward = model.forward
    model.forward = lambda x: model.norm(forward(x)[0].flatten(0, 1)).unflatten(0, (T, B))
    methods = [model.rnn.gradient]
    model.readout.bias.grad = torch.full((2,), 7.0, dtype=torch.float64)
    random, buffers = torch.get_rng_state(), [buffer.clone() for buffer in model.buffers()]
    bias = gradient_bias(tt.DoubleSum(), model, mse_loss, x, y, lags=[1])
    assert bias.total.error <= 1e-12
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(a, b) for a, b in zip(model.buffers(), buffers, strict=True))
    assert [model.rnn.gradient] == methods
    assert model.rnn.weight_hh_l0.grad is None and torch.equal(model.readout.bias.grad, torch.full((2,), 7.0).double())


def test_after_an_exception_every_layer_has_its_method_again():
    model, (x, y) = nn.ModuleList([tt.RNN(INPUT, H, gradient=tt.BPTT(save="states")), tt.GRU(H, 2)]), _data()
    before = [layer.gradient for layer in model]
    model.forward = lambda x: model[1](model[0](x)[0])[0]
    with pytest.raises(UnsupportedError, match="ParallelScan needs"):
        gradient_bias(tt.ParallelScan(limit="2KB"), model, mse_loss, x.float(), y.float())
    assert [layer.gradient for layer in model] == before


def test_a_parameter_in_two_runs_has_one_gradient():
    rnn, (x, _) = tt.RNN(INPUT, INPUT, dtype=torch.float64), _data()
    rnn_forward = rnn.forward
    rnn.forward = lambda x: rnn_forward(rnn_forward(x)[0])
    bias = gradient_bias(tt.BPTT(), rnn, mse_loss, x, torch.randn_like(x), lags=[T])
    assert bias.by_lag[range(0, T)].norm == pytest.approx(bias.total.norm, rel=1e-12)


def test_agreement_of_tensors_taken_together():
    g = [torch.tensor([3.0, 0.0]), torch.tensor([[0.0], [4.0]])]
    one = Agreement.of([torch.tensor([0.0, 0.0]), torch.tensor([[0.0], [4.0]])], g)
    assert (one.norm, one.estimated_norm, one.cosine, one.error) == pytest.approx((5, 4, 0.8, 0.6))
    zeros = [torch.zeros(2)]
    assert Agreement.of(zeros, zeros) == Agreement(0.0, 0.0, 1.0, 0.0)
    assert Agreement.of(zeros, [torch.tensor([0.0, 2.0])]) == Agreement(2.0, 0.0, 0.0, 1.0)
    assert Agreement.of([torch.tensor([0.0, 2.0])], zeros) == Agreement(0.0, 2.0, 0.0, float("inf"))
    assert Agreement.of([torch.tensor([0.0, 2.0])], [torch.tensor([0.0, 4.0])], 3.0) == Agreement(4.0, 0.0, 0.0, 1.0)
    lost = Agreement.of([torch.tensor([0.0, 2.0])], [torch.tensor([0.0, 1.0])], 3.0)
    assert (lost.norm, lost.estimated_norm) == (1.0, 0.0) and lost.cosine != lost.cosine and lost.error != lost.error


@pytest.mark.parametrize("size", [1e300, 1e-300, 5e-324])
def test_agreement_does_not_depend_on_the_size_of_the_gradient(size):
    g, estimate = torch.tensor([3.0, 4.0], dtype=torch.float64), torch.tensor([4.0, 3.0], dtype=torch.float64)
    found = Agreement.of([estimate * size], [g * size])
    assert (found.norm, found.estimated_norm) == pytest.approx((5 * size, 5 * size), rel=1e-14, abs=0)
    assert found.cosine == pytest.approx(24 / 25) and found.error == pytest.approx(2**0.5 / 5, rel=0.3)


def test_what_rounding_hides_is_said_to_be_unknown():
    """In float32 the far lags of a vanishing gradient are smaller than the rounding of the near ones."""
    rnn, (x, y) = tt.RNN(INPUT, 2), _data()
    with torch.no_grad():
        rnn.weight_hh_l0.mul_(0.02)
    bands = gradient_bias(tt.BPTT(), rnn, mse_loss, x.float(), y.float()).by_lag
    assert bands[range(0, 1)].error < 1e-5
    assert bands[range(8, 11)].norm > 0 and bands[range(8, 11)].error != bands[range(8, 11)].error


def test_it_prints_as_a_table():
    bias = gradient_bias(tt.TruncatedBPTT(2), _Model(layers=1, kind=tt.GRU), mse_loss, *_data(), lags=[1, 2, 5])
    lines = str(bias).splitlines()
    assert lines[0].split() == ["‖g‖", "‖ĝ‖", "cosine", "error"]
    assert [line.split("  ")[0] for line in lines[1:]] == [
        "all parameters", "rnn.weight_ih_l0", "rnn.weight_hh_l0", "rnn.bias_ih_l0", "rnn.bias_hh_l0",
        "readout.weight", "readout.bias", "lag 0", "lag 1", "lags 2 … 4",
    ]  # fmt: skip
    assert len({len(line) for line in lines}) == 1
    assert f"{bias.total.cosine:.4f}" in lines[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": nn.LSTM(INPUT, 2)}, "model is a LSTM without a recurrent layer of throughtime"),
        ({"method": "BPTT"}, "method is 'BPTT'; it must be a gradient method"),
        ({"loss": lambda h, y: h}, r"loss returned a tensor \(11, 4, 2\); it must be a scalar"),
        ({"loss": lambda h, y: 0.5}, "loss returned a float"),
        *(({"lags": lags}, "lags is .*increasing whole numbers") for lags in ([], [0, 2], [2, 2], [1.0], [True, 3])),
        ({"model": tt.RNN(INPUT, 2).requires_grad_(False)}, "no parameter that requires a gradient"),
    ],
)
def test_what_cannot_be_compared_is_refused(arguments, message):
    x, y = (one.float() for one in _data())
    given = {"method": tt.BPTT(), "model": tt.RNN(INPUT, 2), "loss": mse_loss, "x": x, "y": y}
    with pytest.raises(ArgumentError, match=message):
        gradient_bias(**(given | arguments))


def test_lags_are_those_of_the_weights_that_are_trained():
    """Frozen weights have no part in the gradient; a recurrence of nothing else has no lags."""

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.below = torch.nn.Linear(3, 3, dtype=torch.float64)
            self.rnn = tt.RNN(3, 5, dtype=torch.float64)

        def forward(self, x):
            return self.rnn(self.below(x))[0]

    model, x, y = Model(), *torch.randn(2, 9, 4, 5, dtype=torch.float64)
    model.rnn.weight_hh_l0.requires_grad_(False)
    own = (model.rnn.weight_ih_l0, model.rnn.bias_ih_l0, model.rnn.bias_hh_l0)
    loss = torch.nn.functional.mse_loss
    bias = tt.gradient_bias(tt.TruncatedBPTT(3), model, loss, x[..., :3], y, lags=[9])
    expected = torch.cat([g.flatten() for g in torch.autograd.grad(loss(model(x[..., :3]), y), own)])
    assert bias.by_lag[range(9)].norm == pytest.approx(float(expected.norm()), rel=1e-12)
    model.rnn.requires_grad_(False)
    assert not tt.gradient_bias(tt.TruncatedBPTT(3), model, loss, x[..., :3], y).by_lag
