import json

import pytest
import torch
from diagnosis.plain_loops import INPUT, B, H, Model, T, data, every_step, layer, resets
from layers.comparison import normal
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

import throughtime as tt
from throughtime.errors import ArgumentError
from throughtime.records import Verdict, read_flows, write_flows

LENGTHS = [T, 0, 1, 6]


class _Language(nn.Module):
    """An embedding, two stacked layers with dropout between and after them, a normalization, and a readout."""

    def __init__(self, kind=tt.LSTM):
        super().__init__()
        self.embedding = nn.Embedding(7, INPUT)
        self.rnn = kind(INPUT, H, num_layers=2, dropout=0.4, batch_first=True)
        self.drop, self.norm = nn.Dropout(0.4), nn.BatchNorm1d(H)
        self.readout = nn.Linear(H, 7)

    def forward(self, x):
        h = self.drop(self.rnn(self.embedding(x))[0])
        return self.readout(self.norm(h.flatten(0, 1))).view(*x.shape, 7), h


def _loss(output, y):
    return cross_entropy(output.flatten(0, 1), y.flatten())


def _batch():
    return torch.randint(7, (B, T)), torch.randint(7, (B, T))


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("masks", ["full", "lengths", "resets"])
def test_by_step_is_the_root_mean_square_over_the_rows_that_have_the_step(kind, masks):
    how = {"full": {}, "lengths": {"lengths": LENGTHS}, "resets": {"resets": resets()}}[masks]
    model, (x, weights) = Model(layer(kind, num_layers=2), **how), data(H)
    flow = tt.gradient_flow(model, every_step, x, weights, parts=[])
    with tt.tap(model) as record:
        every_step(model(x)[0], weights).backward()
    rows = torch.tensor([max(1, sum(n > t for n in LENGTHS)) if masks == "lengths" else B for t in range(T)])
    for one in flow.record.layers:
        squares = {member: norms**2 for member, norms in record.layers[one.name].norms.items()}
        assert one.by_step == pytest.approx((sum(squares.values()).sum(1) / rows).sqrt().tolist(), rel=1e-12)
        for member, square in squares.items():
            assert one.by_member[member] == pytest.approx((square.sum(1) / rows).sqrt().tolist(), rel=1e-12)
        assert (one.by_lag, one.horizons, one.shares, one.gains, one.clipped) == (None, [], [], None, 0.0)
    assert [one.size for one in flow.record.layers] == [H * (1 + (kind == "LSTM"))] * 2
    assert (flow.record.steps, flow.record.rows, flow.record.wanted_lag) == (T, B, 5)
    assert flow.record.loss == every_step(model(x)[0], weights).item()


def test_it_is_measured_inside_inference_mode_too():
    model, (x, weights) = Model(layer("GRU")), data(H)
    expected = tt.gradient_flow(model, every_step, x, weights).by_lag
    with torch.inference_mode():
        assert tt.gradient_flow(model, every_step, x, weights).by_lag == expected


def test_rows_without_steps_are_too_short_and_no_loss_that_is_cut_off():
    model, (x, weights) = Model(layer("LSTM"), lengths=[0] * B), data(H)
    finding = tt.gradient_flow(model, every_step, x, weights).finding
    assert finding.verdict is Verdict.TOO_SHORT and finding.suggestions[0].startswith("Give longer sequences")


@pytest.mark.parametrize("train", [True, False])
def test_nothing_about_the_model_is_changed(train):
    model, (x, y) = _Language().train(train), _batch()
    model.rnn.gradient = method = tt.TruncatedBPTT(3)
    _loss(model(x)[0], y).backward()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    gradients = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    random, hooks = torch.get_rng_state(), [(m._forward_hooks, m._forward_pre_hooks) for m in model.modules()]
    flow = tt.gradient_flow(model, _loss, x, y)
    assert all(one.by_lag is not None and one.shares and one.gains is not None for one in flow.record.layers)
    assert torch.equal(torch.get_rng_state(), random) and model.training == train
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(torch.equal(parameter.grad, gradients[name]) for name, parameter in model.named_parameters())
    assert [(m._forward_hooks, m._forward_pre_hooks) for m in model.modules()] == hooks
    assert not any(one or other for one, other in hooks)
    assert model.rnn.gradient is method and model.rnn.tap is None
    with pytest.raises(ArgumentError, match="scalar"):
        tt.gradient_flow(model, lambda output, y: output, x, y)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert model.rnn.gradient is method and model.rnn.tap is None


def test_dropout_is_that_of_the_pass_that_would_have_come():
    model, (x, y) = _Language().train(), _batch()
    flow = tt.gradient_flow(model, _loss, x, y, parts=[])
    with tt.tap(model) as record:
        _loss(model(x)[0], y).backward()
    for name, one in record.layers.items():
        assert flow.by_step[name] == pytest.approx((sum(n**2 for n in one.norms.values()).mean(1)).sqrt().tolist())


def test_an_outer_tap_goes_on_afterwards():
    rnn = tt.RNN(INPUT, H)
    with tt.tap(rnn) as outer:
        tt.gradient_flow(rnn, lambda y, _: y.sum(), torch.randn(T, B, INPUT), None, parts=[])
        assert not outer.layers
        rnn(torch.randn(T, B, INPUT))[0].sum().backward()
    assert outer.layers["l0"].norms["h"].shape == (T, B)


def test_layers_that_came_from_torch_flow_as_they_do_there():
    theirs = nn.GRU(INPUT, H, dtype=torch.float64)
    x, weights = data(H)
    flow = tt.gradient_flow(tt.GRU.from_torch(theirs), lambda y, w: (w * y**2).sum(), x, weights)
    state, states = torch.zeros(1, B, H).double(), []
    for step in x:
        state = theirs(step[None], state)[1]
        state.retain_grad()
        states.append(state)
    (weights * torch.cat(states) ** 2).sum().backward()
    expected = [h.grad[0].square().sum(-1).mean().sqrt().item() for h in states]
    assert flow.by_step["l0"] == pytest.approx(expected, rel=1e-12)


def test_without_a_gradient_there_are_zeros_and_no_curves():
    x, _ = data(H)
    rnn = layer("GRU", num_layers=2)
    for loss in (lambda y, _: (0 * y).sum(), lambda y, _: torch.tensor(1.0)):
        flow = tt.gradient_flow(rnn, loss, x, None)
        assert flow.by_step == {"l0": [0.0] * T, "l1": [0.0] * T}
        assert flow.by_lag == {"l0": None, "l1": None} and flow.horizon == {"l0": [], "l1": []}
        assert flow.record.nonfinite is None and flow.jacobian_norms["l0"] is not None
        assert str(flow).splitlines()[4].split()[:-1] == ["l1", "0", "0", "-", "-"]
        assert repr(flow) == str(flow)
        assert flow.verdict is Verdict.NO_GRADIENT


def test_rows_without_any_step():
    flow = tt.gradient_flow(Model(layer("LSTM"), lengths=[0] * B), every_step, *data(H))
    (one,) = flow.record.layers
    assert one.by_step == [0.0] * T and one.by_lag is None and one.gains is None
    assert all(share.norm == 0 for share in one.shares)


def test_a_record_is_written_and_read(tmp_path):
    flow = tt.gradient_flow(Model(layer("LSTM", num_layers=2), lengths=LENGTHS), every_step, *data(H), exact_gains=True)
    write_flows(tmp_path, [flow.record])
    (found,) = read_flows(tmp_path)
    again, before = (json.dumps(list(map(str, [one.layers, one.wanted_lag]))) for one in (found, flow.record))
    assert again == before


def test_it_prints_as_a_table():
    rnn = tt.RNN(1, 1, nonlinearity="identity", dtype=torch.float64)
    with torch.no_grad():
        rnn.weight_hh_l0.fill_(0.9)
    lines = str(tt.gradient_flow(rnn, mse_loss, normal(1, 40, 3, 1), normal(2, 40, 3, 1))).splitlines()
    assert lines[0].endswith("over 40 steps of 3 rows")
    assert lines[1] == "healthy: after the 20 steps wanted the gradient of l0 has 12 % of its norm"
    assert lines[2].split()[-6:] == "horizon 1/e horizon 1 % λ1".split()
    assert "9.49 (9.49 … 9.49)" in lines[3] and "> 39" in lines[3] and lines[3].endswith("-0.105")
    x = normal(1, 40, 3, 1)
    x[7, 2] = float("nan")
    lines = str(tt.gradient_flow(rnn, mse_loss, x, normal(2, 40, 3, 1))).splitlines()
    assert lines[1].startswith("non-finite: the input holds a NaN or an infinity at step 7, row 2 of l0")


def test_the_lag_that_is_wanted_is_kept_and_half_the_steps_unless_it_is_given():
    rnn, (x, _) = layer("RNN"), data(H)
    given, usual = (
        tt.gradient_flow(rnn, lambda y, _: y.sum(), x, None, parts=[], **options).record.wanted_lag
        for options in ({"wanted_lag": 9}, {})
    )
    assert (given, usual) == (9, T // 2)


def test_within_autocast_the_recurrences_are_taken_apart_in_their_own_precision():
    rnn = tt.LSTM(INPUT, H)
    x, weights = (one.float() for one in data(H))
    expected = tt.gradient_flow(rnn, lambda y, w: (w * y).sum(), x, weights).record.layers[0]
    with torch.autocast("cpu", torch.bfloat16):
        found = tt.gradient_flow(rnn, lambda y, w: (w * y).sum(), x, weights).record.layers[0]
    assert (found.by_step, found.by_lag, found.shares) == (expected.by_step, expected.by_lag, expected.shares)
    assert str(found.gains) == str(expected.gains)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"wanted_lag": 0}, "wanted_lag is 0; it must be a whole number, at least 1"),
        ({"samples": 2.5}, "samples is 2.5"),
        ({"samples": True}, "samples is True"),
        ({"seed": "1"}, "seed is '1'; it must be a whole number"),
        ({"parts": "lags"}, "parts is 'lags'; it must be some of 'lags', 'shares', 'gains'"),
        ({"parts": ["lag"]}, r"parts is \['lag'\]"),
    ],
)
def test_options_out_of_range_are_refused_before_any_work(options, message):
    model = nn.Module()
    with pytest.raises(ArgumentError, match=message):
        tt.gradient_flow(model, mse_loss, None, None, **options)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda_it_is_the_same():
    model = Model(layer("LSTM", num_layers=2, bidirectional=True), lengths=LENGTHS, resets=resets())
    x, weights = data(2 * H)
    here, there = (
        tt.gradient_flow(model.to(device), every_step, x.to(device), weights.to(device)).record.layers
        for device in ("cpu", "cuda")
    )
    for one, other in zip(here, there, strict=True):
        assert other.by_step == pytest.approx(one.by_step, rel=1e-9)
        assert other.by_lag.mean == pytest.approx(one.by_lag.mean, rel=1e-9)
        assert [share.norm for share in other.shares] == pytest.approx([share.norm for share in one.shares], rel=1e-9)
        assert [one.lag for one in other.horizons] == pytest.approx([one.lag for one in one.horizons], rel=1e-6)
        assert sum(other.gains.gain, []) == pytest.approx(sum(one.gains.gain, []), rel=1e-6, nan_ok=True)


def test_a_flow_has_its_page_and_its_picture(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    pytest.importorskip("jinja2", reason="jinja2 is not installed")
    x, weights = data(H)
    flow = tt.gradient_flow(layer("GRU"), lambda y, w: (w * y).sum(), x, weights, parts=["lags"])
    page = flow.to_html(tmp_path / "flow.html", title="A flow")
    assert page == tmp_path / "flow.html" and "<h1>A flow</h1>" in page.read_text(encoding="utf-8")
    assert flow.verdict.value in page.read_text(encoding="utf-8") and (tmp_path / "flow.json").exists()
    assert {axes.get_title(loc="left").split("\n")[0] for axes in flow.plot().axes} >= {"By step", "By lag"}


def test_it_says_what_it_is_at():
    said = []
    tt.gradient_flow(Model(layer("GRU", num_layers=2)), every_step, *data(H), parts=["lags"], say=said.append)
    assert said == ["rnn.l0, rnn.l1: lags"]
    tt.gradient_flow(Model(layer("GRU")), every_step, *data(H), parts=["gains", "spectrum"], say=said.append)
    assert said[1:] == ["rnn.l0: gains", "rnn.l0: spectrum"]
