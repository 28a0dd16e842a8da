import pytest
import torch
from diagnosis.plain_loops import INPUT, B, H, Model, T, data, every_step, layer
from layers.comparison import normal
from torch import nn

import throughtime as tt
from throughtime.diagnosis.capture import capture
from throughtime.errors import ArgumentError


def test_the_layers_stand_in_the_order_of_the_computation():
    model = nn.ModuleDict({"second": tt.GRU(H, 2, 2, bidirectional=True), "first": tt.RNN(INPUT, H)})
    model.forward = lambda x: model["second"](model["first"](x)[0])[0]
    captured = capture(model, lambda y, _: y.square().sum(), torch.randn(T, B, INPUT), None)
    assert list(captured.runs) == [
        "first.l0", "second.l0", "second.l0_reverse", "second.l1", "second.l1_reverse"
    ]  # fmt: skip
    assert [run.cell.input_size for run in captured.runs.values()] == [INPUT, H, H, 4, 4]


def test_what_comes_from_another_module_counts_as_a_layers_loss():
    model, (x, weights) = (
        nn.ModuleDict({"below": layer("LSTM"), "above": nn.ModuleList([tt.RNN(H, 2).double()])}),
        data(2),
    )
    model.forward = lambda x: model["above"][0](model["below"](x)[0])[0]
    flow = tt.gradient_flow(model, lambda y, w: (w * y**2).sum(), x, weights)
    between = model["below"](x)[0]
    (arriving,) = torch.autograd.grad((weights * model["above"][0](between)[0] ** 2).sum(), between)
    alone = tt.gradient_flow(model["below"], lambda y, g: (g * y).sum(), x, arriving)
    assert list(flow.by_lag) == ["below.l0", "above.0.l0"]
    assert flow.by_step["below.l0"] == pytest.approx(alone.by_step["l0"], rel=1e-12)
    assert flow.by_lag["below.l0"].mean == pytest.approx(alone.by_lag["l0"].mean, rel=1e-12)


def test_the_norms_of_all_losses_are_those_of_a_tap():
    model, (x, weights) = Model(layer("LSTM", num_layers=2)), data(H)
    captured = capture(model, every_step, x, weights)
    with tt.tap(model) as expected:
        every_step(model(x)[0], weights).backward()
    for name, one in expected.layers.items():
        for member, norms in one.norms.items():
            torch.testing.assert_close(captured.taps.layers[name].norms[member], norms, rtol=1e-12, atol=0)
    (only,) = captured.layers
    every = only.norms(torch.ones(T, B, dtype=torch.bool))
    nothing = only.norms(torch.zeros(T, B, dtype=torch.bool))
    for name, one in expected.layers.items():
        joint = (one.norms["h"] ** 2 + one.norms["c"] ** 2).sqrt()
        torch.testing.assert_close(every[name], joint, rtol=1e-12, atol=0)
        assert not nothing[name].any()
    assert captured.taps.layers["rnn.l0"].norms["h"].any()  # what was noted first is not noted over


def test_a_layer_is_reached_though_nothing_in_it_is_trained():
    x, weights = data(H)
    moving = layer("GRU", num_layers=2)
    expected = tt.gradient_flow(moving, lambda y, w: (w * y).sum(), x, weights)
    frozen = layer("GRU", num_layers=2).requires_grad_(False)
    assert tt.gradient_flow(frozen, lambda y, w: (w * y).sum(), x, weights).by_step == expected.by_step
    assert not x.requires_grad and not any(parameter.requires_grad for parameter in frozen.parameters())
    bare = tt.Recurrent(lambda p, x, h: 0.5 * h + x, parameters={}, hidden_size=INPUT, input_size=INPUT)
    flow = tt.gradient_flow(bare, lambda y, _: y[-1].sum(), x.float(), None)
    assert flow.by_lag["l0"].mean == pytest.approx([0.5**k for k in range(T)])


def test_whole_numbers_and_a_keyword():
    rnn, x = tt.LSTM(INPUT, H), torch.randint(INPUT, (T, B))
    model = Model(rnn)
    model.forward = lambda x: rnn(input=x)
    one_hot = nn.functional.one_hot(x, INPUT).float()
    weights = normal(1, T, B, H).float()
    flows = [tt.gradient_flow(model, lambda y, w: (w * y).sum(), given, weights) for given in (x, one_hot)]
    assert flows[0].by_step["rnn.l0"] == pytest.approx(flows[1].by_step["rnn.l0"], rel=1e-5)
    assert flows[0].by_lag["rnn.l0"].mean == pytest.approx(flows[1].by_lag["rnn.l0"].mean, rel=1e-4)
    rnn.requires_grad_(False)
    with pytest.raises(ArgumentError, match="model runs layer 'rnn' without a graph.*call requires_grad_"):
        tt.gradient_flow(model, lambda y, w: (w * y).sum(), x, weights)
    stack = tt.RNN(INPUT, H, 2)
    for parameter in stack.all_weights[0]:
        parameter.requires_grad_(False)
    with pytest.raises(
        ArgumentError, match="layer l0, which reads whole numbers and none of whose weights requires a gradient"
    ):
        tt.gradient_flow(stack, lambda y, w: (w * y).sum(), x, weights)


class _Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = tt.RNN(INPUT, INPUT, dtype=torch.float64)

    def forward(self, x):
        return self.rnn(self.rnn(x)[0])[0]


class _Never(_Twice):
    def forward(self, x):
        return x * self.rnn.weight_hh_l0.sum()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": _Twice()}, "model calls layer 'rnn' twice in one forward pass"),
        ({"model": _Never()}, "model never called its recurrent layers: 'rnn'"),
        ({"model": nn.Sequential(nn.LSTM(INPUT, H))}, "'0' is torch.nn's.*throughtime.LSTM.from_torch"),
        (
            {"model": nn.Sequential(tt.RNN(INPUT, H), nn.LSTM(H, 2))},
            "model holds torch.nn's LSTM as layer '1'.*LSTM.from_torch",
        ),
        (
            {"model": nn.Sequential(tt.RNN(INPUT, H), nn.GRUCell(H, 2))},
            "model holds torch.nn's GRUCell as layer '1'.*use throughtime's own",
        ),
        ({"model": nn.GRU(INPUT, H)}, "its model is torch.nn's.*throughtime.GRU.from_torch"),
        ({"model": nn.Linear(INPUT, H)}, "Linear without a recurrent layer of throughtime"),
        ({"model": lambda x: x}, "model is a function; it must be a torch.nn.Module"),
        ({"x": torch.zeros(0, B, INPUT)}, "x gives the model itself 0 steps of 4 rows"),
        ({"x": torch.zeros(T, 0, INPUT)}, "x gives the model itself 11 steps of 0 rows"),
        ({"loss": lambda y, _: y}, r"loss returned a tensor \(11, 4, 5\); it must be a scalar"),
    ],
)
def test_what_cannot_be_looked_into_is_refused(given, message):
    usual = {"model": tt.RNN(INPUT, H), "loss": lambda y, _: y.sum(), "x": torch.zeros(T, B, INPUT), "y": None}
    if isinstance(given.get("model"), _Twice):
        usual["x"] = usual["x"].double()
    with pytest.raises(ArgumentError, match=message):
        tt.gradient_flow(**(usual | given))


def test_a_loss_of_the_final_state_of_a_row_without_steps_enters_at_none():
    rnn, lengths = layer("RNN"), [T, 0, 1, *[T - 2] * (B - 3)]
    rnn_of_rows = nn.ModuleDict({"rnn": rnn})
    rnn_of_rows.forward = lambda x: rnn(x, torch.randn(1, B, H).double(), lengths=lengths)[1]
    captured = capture(rnn_of_rows, lambda final, _: final.square().sum(), torch.randn(T, B, INPUT).double(), None)
    expected = torch.zeros(T, B, dtype=torch.bool)
    for row, length in enumerate(lengths):
        expected[length - 1, row] = length > 0
    assert torch.equal(captured.layers[0].entering(), expected)
