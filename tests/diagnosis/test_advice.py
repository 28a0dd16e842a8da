import math
import re
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
from diagnosis.records_of import activation, curve, decay, flow, horizon, layer, lyapunov, spectrum, units

import throughtime as tt
from throughtime.cells import ActivationValues, KeepBias
from throughtime.diagnosis import Suggestion, judge
from throughtime.diagnosis.parts import traits_of
from throughtime.errors import ArgumentError
from throughtime.records import CellTraits, LagShare, NonFinite, Role, Source, Verdict

STILL = units(0.5, 0.5)
RELU = activation(low=0.0, high=math.inf)


def _said(*layers, **more) -> list[Suggestion]:
    """Which suggestions were made, in order: every sentence must be one of the enumeration's, with all filled in."""
    kinds = []
    for sentence in judge(flow(*layers, **more)).suggestions:
        assert "{" not in sentence and sentence.endswith(".")
        patterns = {one: re.escape(one.value) for one in Suggestion}
        matching = [one for one, text in patterns.items() if re.fullmatch(re.sub(r"\\\{\w+\\\}", ".+", text), sentence)]
        assert len(matching) == 1, sentence
        kinds += matching
    return kinds


def _only(kind: Suggestion, *layers, **more) -> str:
    sentences, kinds = judge(flow(*layers, **more)).suggestions, _said(*layers, **more)
    return sentences[kinds.index(kind)]


def test_a_vanishing_tanh_layer_is_given_a_start_and_gates():
    sick = layer(by_lag=decay(0.5), lyapunov=lyapunov(-0.6931, 0.01), activations=[activation()])
    assert _said(sick) == [Suggestion.ORTHOGONAL_START, Suggestion.GATES, Suggestion.FLOSSING]
    start = _only(Suggestion.ORTHOGONAL_START, sick)
    assert "orthogonal_(model.recurrent.weight_hh_l0)" in start and "by a factor of 0.5 per step" in start
    assert "keeps 3e-06 % of a gradient over 25 steps" in _only(Suggestion.GATES, sick)
    assert "λ1 = -0.693 per step towards 0" in _only(Suggestion.FLOSSING, sick)


def test_a_relu_layer_starts_from_the_identity_and_revives_what_is_dead():
    sick = layer("l0_reverse", by_lag=decay(0.5), activations=[RELU], units=units(0.1, 0.1, dead=3))
    assert _said(sick) == [Suggestion.DEAD_UNITS, Suggestion.IDENTITY_START, Suggestion.GATES]
    assert "eye_(model.weight_hh_l0_reverse)" in _only(Suggestion.IDENTITY_START, sick)
    dead = _only(Suggestion.DEAD_UNITS, sick)
    assert "3 of 5 never change" in dead and "model.bias_ih_l0_reverse, 0.1" in dead
    alive = replace(sick, units=units(0.1, 0.1, dead=2))
    assert Suggestion.DEAD_UNITS not in _said(alive)


@pytest.mark.parametrize(("cell", "kind"), [("LSTMCell", Suggestion.FORGET_BIAS), ("GRUCell", Suggestion.UPDATE_BIAS)])
def test_gates_that_keep_too_little_are_given_a_bias_for_the_wanted_lag(cell, kind):
    keep = activation("gate", Role.KEEP, 0.0, 1.0, time_constants=[0.5, 1.0, 1.4, 2.0, 3.0])
    sick = layer(cell=cell, by_lag=decay(0.5), activations=[activation(), keep])
    assert _said(sick) == [kind]
    sentence = _only(kind, sick)
    assert "25 steps wanted" in sentence and "at most 1.4 steps" in sentence
    part = {"LSTMCell": "the second quarter", "GRUCell": "the second third"}[cell]
    assert f". Set {part} of model.recurrent.bias_ih_l0 to ln(25 - 1) = 3.18" in sentence
    assert ("and the first quarter to minus that" in sentence) == (cell == "LSTMCell")
    assert judge(flow(sick)).numbers["time_constant"] == 1.4
    assert _said(replace(sick, by_lag=decay(0.01)), wanted=2) == [] == _said(replace(sick, activations=[]))
    lasting = replace(keep, time_constants=[20.0, 22.0, 25.0, 26.0, 30.0])
    assert _said(replace(sick, activations=[lasting])) == []


def test_a_layer_without_biases_is_built_with_them_first():
    """No sentence names a parameter that is not there without saying how to get it."""
    keep = activation("gate", Role.KEEP, 0.0, 1.0, time_constants=[0.5, 1.0, 1.4, 2.0, 3.0])
    gated = layer(cell="GRUCell", by_lag=decay(0.5), activations=[activation(), keep])
    gated = replace(gated, traits=replace(gated.traits, bias=False))
    sentence = _only(Suggestion.UPDATE_BIAS, gated)
    assert ". Build the layer with bias=True and set the second third of model.recurrent.bias_ih_l0 to ln" in sentence
    relu = layer(by_lag=decay(0.5), activations=[RELU], units=units(0.1, 0.1, dead=3))
    relu = replace(relu, traits=replace(relu.traits, bias=False))
    dead = _only(Suggestion.DEAD_UNITS, relu)
    assert ". Build the layer with bias=True and start with biases above 0, with torch.nn.init.constant_(" in dead
    assert "bias" not in _only(Suggestion.IDENTITY_START, relu)
    own = replace(relu, traits=CellTraits())  # a cell whose parameters nobody knows by name
    assert Suggestion.DEAD_UNITS not in _said(own)


@dataclass(frozen=True)
class MinimalGatedCell(tt.AffineCell):
    """f = σ(a_f), n = tanh(a_n), h_t = (1 - f) ⊙ h_{t-1} + f ⊙ n: the larger f, the less is kept."""

    gates: ClassVar[int] = 2
    gate_names: ClassVar[tuple[str, ...]] = ("forget gate", "candidate")
    keep_bias: ClassVar[KeepBias | None] = KeepBias("forget gate", sign=-1)

    def update(self, a_x, a_h, state):
        a_f, a_n = (a_x + a_h).chunk(2, dim=-1)
        f, n = torch.sigmoid(a_f), torch.tanh(a_n)
        return (torch.lerp(state[0], n, f),), (f, n, state[0])

    def update_vjp(self, residuals, cotangent):
        (f, n, h_before), (g,) = residuals, cotangent
        e = torch.cat((g * (n - h_before) * f * (1 - f), g * f * (1 - n * n)), dim=-1)
        return e, e, (g * (1 - f),)

    def activations(self, parameters, x, state):
        _, (f, n, _) = self.update(*self.affine(parameters, x, state), state)
        return [ActivationValues("kept", "keep", 0.0, 1.0, 1 - f), ActivationValues("n", "content", -1.0, 1.0, n)]


@pytest.mark.parametrize("bias", [True, False])
def test_a_gated_cell_of_a_users_gets_the_advice_of_ours(bias):
    """Done as it says, the gate keeps the share 1 - 1/K of the state, and the gradient lasts as long as wanted."""
    torch.manual_seed(2)
    model = torch.nn.Module()
    model.rnn = tt.Recurrent(MinimalGatedCell(3, 9, bias), dtype=torch.float64)
    model.forward = lambda x: model.rnn(x)[0]
    x, weights = (torch.randn(80, 4, size, dtype=torch.float64) for size in (3, 9))
    finding = tt.gradient_flow(model, lambda y, w: (w * y).sum(), x, weights, wanted_lag=40).finding
    assert finding.verdict is Verdict.VANISHING
    (sentence,) = (one for one in finding.suggestions if "time constant" in one)
    begins = "Set" if bias else "Build the layer with bias=True and set"
    assert f". {begins} the first half of model.rnn.bias_ih_l0 to -ln(40 - 1) = -3.66 (after Tallec" in sentence
    if not bias:
        model.rnn = tt.Recurrent(MinimalGatedCell(3, 9), dtype=torch.float64)
    with torch.no_grad():
        model.rnn.bias_ih_l0.chunk(2)[0].fill_(-math.log(40 - 1))
    mended = tt.gradient_flow(model, lambda y, w: (w * y).sum(), x, weights, wanted_lag=40).finding
    assert mended.verdict is Verdict.HEALTHY
    assert finding.numbers["time_constant"] < 2 and mended.numbers["time_constant"] == pytest.approx(40, rel=0.3)


def test_a_keep_bias_must_name_a_gate_of_its_cell():
    with pytest.raises(ArgumentError, match="^keep_bias has writes='inlet'; it must be one of gate_names"):
        type("Leaky", (MinimalGatedCell,), {"keep_bias": KeepBias("forget gate", writes="inlet")})


@pytest.mark.parametrize("layer_class", [tt.LSTM, tt.GRU])
def test_the_bias_that_is_suggested_has_the_wanted_time_constant(layer_class):
    """Set as the sentence says, in the part that it says, the gate keeps 1 - 1/25 of the state at a step."""
    rnn = layer_class(3, 4, dtype=torch.float64)
    parts = {tt.LSTM: 4, tt.GRU: 3}[layer_class]
    with torch.no_grad():
        for parameter in rnn.parameters():
            parameter.zero_()
        rnn.bias_ih_l0.chunk(parts)[1].fill_(math.log(25 - 1))
    cell, parameters = rnn.cell_and_parameters(0)
    keep = traits_of(cell, bias=True).keep
    assert keep is not None and (keep.block, keep.blocks, keep.sign) == (1, parts, 1)
    assert keep.writes == {tt.LSTM: 0, tt.GRU: None}[layer_class]
    state = tuple(torch.zeros(1, size, dtype=torch.float64) for size in cell.state_sizes.values())
    (keep,) = (
        one for one in cell.activations(parameters, torch.ones(1, 3, dtype=torch.float64), state) if one.role == "keep"
    )
    assert keep.values.detach().numpy() == pytest.approx(1 - 1 / 25)


def test_growth_is_met_by_a_lower_gain_and_by_clipping_at_measured_norms():
    norms = [64.0, 32.0, 16.0, 8.0, 4.0, 2.0, 1.0, 0.0]
    sick = layer(by_step=norms, by_lag=decay(1.3), lyapunov=lyapunov(0.25, 0.01), units=STILL)
    assert _said(sick) == [
        Suggestion.LOWER_GAIN,
        Suggestion.CLIP_GROWTH,
        Suggestion.ORTHOGONAL_START,
        Suggestion.FLOSSING,
    ]
    lower = _only(Suggestion.LOWER_GAIN, sick)
    assert "model.recurrent.weight_hh_l0 by 0.779" in lower and "λ1 = 0.25 per step" in lower
    clip = _only(Suggestion.CLIP_GROWTH, sick)
    assert "BPTT(clip_step=5)" in clip and "is 64" in clip  # ten times 0.5, see `curve`
    assert Suggestion.CLIP_GROWTH not in _said(replace(sick, by_step=[5.0, 1.0]))
    assert "by a factor of 1.3 per step" in _only(Suggestion.ORTHOGONAL_START, sick)
    exploding = replace(sick, units=units(1.0, 9.0))
    assert judge(flow(exploding)).verdict is Verdict.EXPLODING and _said(exploding) == _said(sick)


def test_a_cell_of_ones_own_has_no_parameter_that_could_be_named():
    sick = layer(cell="FunctionCell", by_step=[9.0], by_lag=decay(1.3), lyapunov=lyapunov(0.25, 0.01), units=STILL)
    assert _said(sick) == [Suggestion.LOWER_GAIN, Suggestion.CLIP_GROWTH, Suggestion.FLOSSING]
    assert "multiply the recurrent weights by 0.779" in _only(Suggestion.LOWER_GAIN, sick)


def test_a_transient_is_clipped_where_it_peaks():
    norms = [float(k) for k in range(1, 12)]
    sick = layer(by_step=norms, by_lag=curve(1.0, 5.0, 1.0))
    assert _said(sick, wanted=2) == [Suggestion.ORTHOGONAL_START, Suggestion.CLIP_PEAKS]
    assert "BPTT(clip_step=10)" in _only(Suggestion.CLIP_PEAKS, sick, wanted=2)


def test_full_activations_are_given_smaller_inputs():
    sick = layer(by_lag=decay(0.3), activations=[activation(full=0.8)], units=units(0.9, 0.9, preactivation=7.5))
    assert _said(sick) == [Suggestion.SMALLER_INPUTS, Suggestion.GATES]
    sentence = _only(Suggestion.SMALLER_INPUTS, sick)
    assert (
        "root mean square is 7.5" in sentence
        and "the inputs, or model.recurrent.weight_ih_l0 and the biases, by about 7.5" in sentence
    )
    without = replace(sick, traits=replace(sick.traits, bias=False))
    assert "the inputs, or model.recurrent.weight_ih_l0, by about 7.5" in _only(Suggestion.SMALLER_INPUTS, without)
    unnamed = replace(sick, traits=CellTraits())
    assert "or the weights of the inputs, by about 7.5" in _only(Suggestion.SMALLER_INPUTS, unnamed)
    assert _said(replace(sick, units=units(0.9, 0.9))) == [Suggestion.GATES]


@pytest.mark.parametrize(("weight", "inputs", "kind"), [(1e4, 0.5, "LOWER_RADIUS"), (1.5, 40.0, "SMALLER_INPUTS")])
def test_what_fills_the_activations_is_what_is_made_smaller(weight, inputs, kind):
    """Done as it is said, fewer of them are full, and more of the gradient is left; the other would do little."""
    torch.manual_seed(0)
    rnn = tt.RNN(3, 24, dtype=torch.float64, bias=False)
    torch.nn.init.orthogonal_(rnn.weight_hh_l0, weight), torch.nn.init.normal_(rnn.weight_ih_l0, 0, inputs)
    x, losses = torch.randn(30, 4, 3, dtype=torch.float64), torch.randn(30, 4, 24, dtype=torch.float64)
    numbers = []
    for _ in range(2):
        finding = tt.gradient_flow(rnn, lambda y, w: (w * y).sum(), x, losses, wanted_lag=8).finding
        numbers.append(finding.numbers)
        if len(numbers) == 1:
            assert finding.verdict is Verdict.SATURATED and finding.suggestions[0].startswith(
                Suggestion[kind].value.split("{")[0]
            )
            (name,) = re.findall(r"model\.(\w+)", finding.suggestions[0])
            by = re.findall(r"(?:by|by about) ([\d.]+)[,.]", finding.suggestions[0])
            with torch.no_grad():
                rnn.get_parameter(name).mul_(float(by[0]) if kind == "LOWER_RADIUS" else 1 / float(by[-1].rstrip(".")))
    before, after = numbers
    assert after["saturated"] < 0.5 * before["saturated"] and after["at_wanted_lag"] > 1e3 * before["at_wanted_lag"]


def test_a_gradient_of_0_asks_for_the_loss_or_for_live_units():
    assert "at every step of 2" in _only(Suggestion.CONNECT_LOSS, layer(by_step=(0.0, 0.0)))
    dead = layer(shares=[LagShare(0, 3, 0.0)], activations=[RELU], units=units(0.0, 0.0, dead=5))
    assert _said(dead) == [Suggestion.DEAD_UNITS]


def test_a_healthy_flow_whose_end_is_alive_may_reach_further():
    sentence = _only(Suggestion.LONGER_HORIZON, layer(by_lag=decay(0.98)))
    assert "further back than 30 steps" in sentence and "has 55 % of its norm" in sentence
    assert _said(layer(by_lag=decay(0.9))) == []
    assert "further back than 1 step, take" in _only(Suggestion.LONGER_HORIZON, layer(by_lag=decay(0.5, 1)))


def test_a_sequence_that_is_too_short_should_be_longer():
    assert "of 1 step" in _only(Suggestion.LONGER_SEQUENCES, layer(), steps=1)


@pytest.mark.parametrize(
    ("source", "kinds", "place"),
    [
        (Source.WEIGHTS, [Suggestion.LEARNING_RATE], "weights l0"),
        (Source.INPUT, [Suggestion.CHECK_DATA], "step 3, row 2 of l0"),
        (Source.STATE, [Suggestion.SMALLER_STATE, Suggestion.LEARNING_RATE], "step 3, row 2 of l0"),
        (Source.LOSS, [Suggestion.CHECK_LOSS], "which is inf"),
        (Source.GRADIENT, [Suggestion.CHECK_DERIVATIVE], "step 3, row 2 of l0"),
    ],
)
def test_what_is_not_finite_is_looked_for_where_it_began(source, kinds, place):
    nonfinite = NonFinite(source, "l0", 3, 2)
    assert _said(nonfinite=nonfinite, loss=math.inf) == kinds
    assert all(place in one for one in judge(flow(nonfinite=nonfinite, loss=math.inf)).suggestions)


def test_a_gradient_that_overflowed_is_clipped_and_one_that_came_so_is_looked_for_in_the_loss():
    nonfinite = NonFinite(Source.GRADIENT, "l0", 1, 2)
    grown = layer("l0", by_step=[math.nan, math.inf, 1e30, 1e15, 1.0], by_lag=decay(1.3))
    clip, rate = judge(flow(grown, nonfinite=nonfinite)).suggestions
    assert "BPTT(clip_step=5)" in clip and rate.startswith("Go back")  # ten times 0.5, see `curve`
    assert "BPTT(clip_step=10)" in judge(flow(replace(grown, by_lag=None), nonfinite=nonfinite)).suggestions[0]
    for by_step in ([math.nan, math.nan, 2.0, 3.0, 1.0], [1.0, math.nan]):
        assert _said(replace(grown, by_step=by_step), nonfinite=nonfinite) == [Suggestion.CHECK_DERIVATIVE]


@pytest.mark.parametrize(
    ("name", "weight", "call"),
    [
        ("l0", "model.weight_hh_l0", "floss(model, x, count=1)"),
        ("rnn.l2", "model.rnn.weight_hh_l2", "floss(model.rnn, x, count=1, depth=2)"),
        ("layers.1.rnn.l0", "model.layers[1].rnn.weight_hh_l0", "floss(model.layers[1].rnn, x, count=1)"),
        ("0.l0_reverse", "model[0].weight_hh_l0_reverse", None),
    ],
)
def test_what_is_named_can_be_written_so_in_python(name, weight, call):
    sick = layer(name, by_lag=decay(0.5), lyapunov=lyapunov(-0.6931, 0.01), activations=[activation()])
    assert f"orthogonal_({weight})" in _only(Suggestion.ORTHOGONAL_START, sick)
    if call is None:  # a direction that flossing does not look at
        assert Suggestion.FLOSSING not in _said(sick)
    else:
        assert f"throughtime.{call} " in _only(Suggestion.FLOSSING, sick)


def test_an_exponent_that_explains_nothing_is_not_moved():
    sick = layer(by_lag=decay(0.5), lyapunov=lyapunov(0.004, 0.001), activations=[activation()])
    assert judge(flow(sick)).verdict is Verdict.VANISHING and Suggestion.FLOSSING not in _said(sick)


def test_a_chaotic_elman_layer_is_brought_to_a_radius_of_1():
    sick = layer(
        by_lag=decay(1.3),
        lyapunov=lyapunov(0.25, 0.01),
        units=STILL,
        activations=[activation()],
        spectrum=spectrum(4.0),
    )
    sentence = _only(Suggestion.LOWER_RADIUS, sick)
    assert "model.recurrent.weight_hh_l0 by 0.25" in sentence and "from 4 to 1" in sentence
    assert Suggestion.LOWER_GAIN in _said(replace(sick, spectrum=spectrum(0.9)))
    assert Suggestion.LOWER_GAIN in _said(replace(sick, activations=[RELU]))


def test_the_gain_is_that_of_the_curve_up_to_where_it_is_0_and_else_of_the_exponent():
    sick = layer(by_lag=curve(1.0, 0.25, 0.0, 0.0), horizons=[horizon(1.2, 1.1, 1.3)])
    assert "by a factor of 0.25 per step" in _only(Suggestion.ORTHOGONAL_START, sick)
    by_exponent = layer(lyapunov=lyapunov(math.log(0.5), 0.01))
    assert "by a factor of 0.5 per step" in _only(Suggestion.ORTHOGONAL_START, by_exponent)
    assert "by a factor of 0 per step" in _only(Suggestion.ORTHOGONAL_START, layer(lyapunov=lyapunov(-math.inf, 0.0)))
