import math
from dataclasses import replace

import pytest
from diagnosis.records_of import activation, curve, decay, flow, horizon, layer, lyapunov, spectrum, units

from throughtime.diagnosis import judge
from throughtime.diagnosis.verdict import SEVERITY
from throughtime.errors import ArgumentError
from throughtime.records import Context, GainMap, LagGain, LagShare, Memory, NonFinite, Role, Source, Verdict

STILL = units(0.5, 0.6, 0.5, 0.6)
GROWING = units(0.5, 1.0, 2.0, 4.0)
HEALTHY = layer(by_lag=decay(0.9), lyapunov=lyapunov(-0.1, 0.01), units=STILL)
PEAKED = curve(1.0, 2.0, 4.0, 3.0, 1.0)


def _verdict(*layers, **more):
    return judge(flow(*layers, **more)).verdict


def test_an_even_flow_is_healthy():
    finding = judge(flow(HEALTHY))
    assert finding.verdict is Verdict.HEALTHY
    assert finding.sentence == "healthy: after the 25 steps wanted the gradient of recurrent.l0 has 7.2 % of its norm"
    assert finding.numbers["at_wanted_lag"] == pytest.approx(0.9**25)
    assert (finding.numbers["lyapunov"], finding.numbers["wanted_lag"]) == (-0.1, 25)


@pytest.mark.parametrize(("left", "verdict"), [(0.0101, Verdict.HEALTHY), (0.0099, Verdict.VANISHING)])
def test_what_is_left_at_the_wanted_lag_decides(left, verdict):
    assert _verdict(layer(by_lag=curve(1.0, 0.5, left, 0.0)), wanted=2) is verdict


def test_a_vanishing_gradient_is_named_with_its_horizon():
    sick = layer(by_lag=decay(0.5), horizons=[horizon(1.4, 1.3, 1.5, 1 / math.e), horizon(6.64, 6.2, 7.1)])
    finding = judge(flow(sick))
    assert finding.verdict is Verdict.VANISHING and finding.layer == "recurrent.l0"
    assert finding.sentence == (
        "vanishing: the gradient of recurrent.l0 falls to 1 % within 6.6 steps (90 %: 6.2 to 7.1), and 25 are wanted"
    )
    assert (finding.numbers["horizon"], finding.numbers["horizon_low"]) == (6.64, 6.2)


def test_without_a_horizon_the_sentence_says_what_is_left():
    assert judge(flow(layer(by_lag=decay(0.5)))).sentence == (
        "vanishing: the gradient of recurrent.l0 has 3e-06 % of its norm after 25 steps, and 25 are wanted"
    )


def test_a_horizon_beyond_the_wanted_lag_is_not_quoted_against_it():
    """The median dips below 1 % at the wanted lag and rises again."""
    sick = layer(by_lag=curve(1.0, 0.1, 0.005, 0.02, 0.001), horizons=[horizon(3.5, 3.0, 4.0)])
    finding = judge(flow(sick, wanted=2))
    assert finding.verdict is Verdict.VANISHING and "0.5 % of its norm after 2 steps" in finding.sentence


def test_the_median_may_already_be_gone_before_the_wanted_lag_was_seen():
    assert _verdict(layer(by_lag=decay(0.5, lags=9))) is Verdict.VANISHING
    finding = judge(flow(layer(by_lag=decay(0.9, lags=9))))
    assert finding.verdict is Verdict.HEALTHY
    assert finding.sentence.startswith(
        "healthy as far as was measured: after 9 steps the gradient of recurrent.l0 has 39 %"
    )
    assert finding.sentence.endswith("25 are wanted")
    assert "at_wanted_lag" not in finding.numbers and finding.numbers["end_lag"] == 9


@pytest.mark.parametrize(("full", "verdict"), [(0.5, Verdict.SATURATED), (0.49, Verdict.VANISHING)])
def test_it_is_saturated_where_half_of_a_content_activation_is_full(full, verdict):
    gates = activation("forget gate", Role.KEEP, 0.0, 1.0, full=1.0)  # takes no part
    sick = layer(by_lag=decay(0.5), activations=[gates, activation(full=full - 0.2), activation(full=full)])
    assert _verdict(sick) is verdict
    if verdict is Verdict.SATURATED:
        assert "50 % of the values that it writes lie within a twentieth" in judge(flow(sick)).sentence


def test_a_full_layer_whose_gradient_arrives_is_healthy():
    assert _verdict(layer(by_lag=decay(0.95), activations=[activation(full=0.9)])) is Verdict.HEALTHY


def test_an_activation_with_one_end_cannot_be_full():
    half_off = replace(activation(low=0.0, high=math.inf), at_low=0.9)
    assert _verdict(layer(by_lag=decay(0.5), activations=[half_off])) is Verdict.VANISHING


@pytest.mark.parametrize(
    ("linear", "sizes", "verdict"),
    [
        (False, STILL, Verdict.CHAOTIC),
        (False, GROWING, Verdict.EXPLODING),
        (True, STILL, Verdict.EXPLODING),
        (False, units(1.0, 1.0, math.nan, 1.51, 1.51), Verdict.EXPLODING),
        (False, units(1.0, 1.0, 1.49, 1.49), Verdict.CHAOTIC),
        (False, units(0.0, 0.0, 0.0), Verdict.CHAOTIC),
        (False, units(0.0, 1.0), Verdict.EXPLODING),
        (False, units(1.0, math.inf), Verdict.EXPLODING),
        (False, units(1.0), Verdict.EXPLODING),
        (False, None, Verdict.EXPLODING),
    ],
)
def test_growth_is_chaos_where_the_state_stays_bounded(linear, sizes, verdict):
    sick = layer(linear=linear, units=sizes, by_lag=decay(1.2), lyapunov=lyapunov(0.18, 0.01))
    assert _verdict(sick) is verdict


def test_a_state_is_bounded_by_what_it_is_made_of():
    """A GRU that remembers long fills up slowly from 0, and yet stays below 1."""
    sick = layer(by_lag=decay(1.3), lyapunov=lyapunov(0.26, 0.01), units=GROWING)
    assert _verdict(replace(sick, activations=[activation()])) is Verdict.CHAOTIC
    assert _verdict(replace(sick, activations=[activation(), activation(high=math.inf)])) is Verdict.EXPLODING


def test_growth_without_a_certain_exponent_is_not_called_chaos():
    assert _verdict(layer(by_lag=decay(1.3), units=STILL)) is Verdict.EXPLODING
    assert _verdict(layer(by_lag=decay(1.3), units=STILL, lyapunov=lyapunov(0.26, 0.2))) is Verdict.EXPLODING


def test_growth_is_told_with_exponent_and_curve():
    finding = judge(flow(layer(by_lag=decay(1.2), lyapunov=lyapunov(0.18, 0.01), units=STILL)))
    assert finding.sentence == (
        "chaotic: the gradient of recurrent.l0 grows by a factor of 1.2 per step (λ1 = 0.18 ± 0.01), 237-fold by lag "
        "30 in the median, while its state stays bounded"
    )


@pytest.mark.parametrize(
    ("exponent", "error", "steps", "verdict"),
    [
        (0.08, 0.039, 31, Verdict.CHAOTIC),  # e^(0.08 · 30) = 11.02
        (0.08, 0.041, 31, Verdict.HEALTHY),
        (0.08, 0.039, 29, Verdict.HEALTHY),  # e^(0.08 · 28) = 9.4
        (0.08, math.nan, 31, Verdict.HEALTHY),
        (1e-15, 1e-18, 1000, Verdict.HEALTHY),
        (math.nan, math.nan, 31, Verdict.HEALTHY),
        (-0.5, 0.01, 31, Verdict.VANISHING),
        (-0.2, 0.03, 31, Verdict.HEALTHY),  # (-0.2 + 2 · 0.03) · 25 > ln 0.01
        (-0.2, math.nan, 31, Verdict.HEALTHY),
        (-math.inf, math.nan, 31, Verdict.VANISHING),
    ],
)
def test_the_exponent_alone_decides_where_it_is_certain(exponent, error, steps, verdict):
    assert _verdict(layer(lyapunov=lyapunov(exponent, error), units=STILL), steps=steps) is verdict


@pytest.mark.parametrize(
    ("medians", "verdict"),
    [
        ((1.0, 3.0, 9.9), Verdict.HEALTHY),
        ((1.0, 3.0, 10.1), Verdict.EXPLODING),
        ((1.0, 3.0, 2e300, math.inf), Verdict.EXPLODING),
        ((1.0, 400.0, 10.1), Verdict.EXPLODING),
        ((1.0, 400.0, 9.9), Verdict.TRANSIENT),
        ((1.0, 20.0, 9.9), Verdict.TRANSIENT),
        ((1.0, 9.9, 9.8), Verdict.HEALTHY),
        ((1.0, 2.9, 1.0), Verdict.HEALTHY),
        ((1.0, 3.1, 1.0), Verdict.TRANSIENT),
        ((1.0, 3.1, 1.3), Verdict.HEALTHY),
    ],
)
def test_the_curve_alone_tells_growth_from_a_peak(medians, verdict):
    assert _verdict(layer(by_lag=curve(*medians)), wanted=2) is verdict


def test_a_peak_counts_above_what_is_left_after_it():
    finding = judge(flow(layer(by_lag=curve(1.0, 5.0, 1.0, 0.001)), wanted=3))
    assert finding.verdict is Verdict.TRANSIENT
    assert finding.sentence == (
        "transient growth, then decay: the median gradient of recurrent.l0 grows 5-fold by lag 1, and at lag 3 it is "
        "0.1 % of what it began with"
    )


def test_growth_that_the_exponent_says_will_end_is_transient():
    rising = curve(1.0, 10.0, 18.0, 24.3)
    sick = layer(linear=True, by_lag=rising, lyapunov=lyapunov(-0.1, 0.01))
    finding = judge(flow(sick))
    assert finding.verdict is Verdict.TRANSIENT and "λ1 = -0.1 per step says that it will decay" in finding.sentence
    assert _verdict(replace(sick, lyapunov=lyapunov(-0.1, 0.06))) is Verdict.EXPLODING
    assert _verdict(replace(sick, lyapunov=lyapunov(-math.inf, math.nan))) is Verdict.EXPLODING


def test_the_radius_is_the_exponent_of_a_linear_layer():
    """A measured exponent is still disturbed by the growth at first; of a nonlinear layer the radius says little."""
    rising, measured = curve(1.0, 10.0, 18.0, 24.3), lyapunov(0.2, 0.01)
    sick = layer(linear=True, by_lag=rising, lyapunov=measured, spectrum=spectrum(0.9))
    assert _verdict(sick) is Verdict.TRANSIENT
    assert judge(flow(sick)).numbers["lyapunov"] == pytest.approx(math.log(0.9))
    assert _verdict(replace(sick, linear=False)) is Verdict.EXPLODING
    assert _verdict(replace(sick, spectrum=spectrum(1.1))) is Verdict.EXPLODING
    assert _verdict(replace(sick, spectrum=spectrum(math.nan))) is Verdict.EXPLODING
    assert judge(flow(replace(sick, spectrum=spectrum(0.0)))).numbers["lyapunov"] == -math.inf


def test_an_exponent_that_the_measured_gradient_contradicts_does_not_decide():
    assert _verdict(layer(by_lag=decay(0.9), lyapunov=lyapunov(0.2, 0.01), units=STILL)) is Verdict.HEALTHY
    assert _verdict(layer(by_lag=decay(0.5), lyapunov=lyapunov(0.2, 0.01), units=STILL)) is Verdict.VANISHING


def test_the_thin_end_of_a_curve_is_not_held_against_it():
    rising = curve(1.0, 0.9, 0.8, 20.0)
    for samples, verdict in {
        (40, 30, 20, 9): Verdict.HEALTHY,
        (40, 30, 20, 10): Verdict.EXPLODING,
        (12, 12, 12, 4): Verdict.HEALTHY,
        (12, 12, 12, 5): Verdict.EXPLODING,
        (2, 2, 2, 2): Verdict.EXPLODING,
    }.items():
        assert _verdict(layer(by_lag=replace(rising, samples=list(samples))), wanted=2) is verdict
    missing = replace(curve(1.0, 0.9, math.nan, 50.0), samples=[40, 30, 20, 0])
    assert judge(flow(layer(by_lag=missing), wanted=3)).numbers["end_lag"] == 1


def test_few_samples_and_a_close_horizon_are_said():
    few = layer(by_lag=curve(1.0, 0.1, 0.005, samples=3), horizons=[horizon(1.8, 0.9, 2.5)])
    finding = judge(flow(few, wanted=2))
    assert finding.sentence.endswith(
        "(uncertain: from 3 samples only) (close: the gradient falls to 1 % within 0.9 to 2.5 steps, with 90 % "
        "confidence)"
    )
    assert finding.numbers["samples"] == 3
    fast = replace(curve(1.0, 0.004, 0.001, 0.001, 0.001), samples=[40, 30, 20, 10, 4])
    sick = layer(by_lag=fast, horizons=[horizon(0.83, 0.8, 0.9)])
    assert judge(flow(sick, wanted=4)).numbers["samples"] == 30  # what is left at lag 4 no longer matters
    assert "uncertain" not in judge(flow(layer(by_lag=curve(1.0, 0.1, 0.005, samples=5)), wanted=2)).sentence


def test_a_gradient_of_0_is_named():
    finding = judge(flow(layer(by_step=(0.0, 0.0, 0.0)), HEALTHY))
    assert (finding.verdict, finding.layer) == (Verdict.NO_GRADIENT, "recurrent.l0")
    assert finding.sentence == "no gradient: ∂L/∂s is 0 at all steps of recurrent.l0"


def test_of_layers_without_a_gradient_the_one_nearest_to_the_loss_is_named():
    below = layer("l0", by_step=(0.0, 0.0))
    dead = layer("l1", by_lag=curve(1.0, 0.0, 0.0), shares=[LagShare(0, 1, 0.0), LagShare(1, 3, 0.0)])
    finding = judge(flow(below, dead))
    assert (finding.verdict, finding.layer) == (Verdict.NO_GRADIENT, "l1")
    assert "its weights get a gradient of 0 by way of every lag" in finding.sentence
    some = replace(dead, shares=[LagShare(0, 1, 0.0), LagShare(1, 3, 0.1)])
    assert judge(flow(some)).verdict is Verdict.VANISHING


def test_one_step_is_too_short():
    finding = judge(flow(layer(by_lag=curve(1.0), by_step=[1.0]), steps=1, wanted=0))
    assert (finding.verdict, finding.layer) == (Verdict.TOO_SHORT, "")
    assert finding.sentence == (
        "too short: no loss has a step before it, in 1 step, so no gradient passes through time"
    )
    assert _verdict(layer(), steps=1) is Verdict.TOO_SHORT
    at_the_first = replace(curve(1.0, math.nan), samples=[7, 0])
    assert _verdict(layer(by_lag=at_the_first)) is Verdict.TOO_SHORT
    assert _verdict(layer(by_step=[0.0]), steps=1) is Verdict.NO_GRADIENT


def test_a_direction_without_lags_is_named_beside_the_others_and_decides_nothing():
    """What the reverse direction puts out at the last step it has made of that step alone."""
    last = layer("recurrent.l0_reverse", by_lag=replace(curve(1.0, math.nan), samples=[7, 0]))
    for layers in ((HEALTHY, last), (last, HEALTHY)):
        finding = judge(flow(*layers))
        assert (finding.verdict, finding.layer) == (Verdict.HEALTHY, HEALTHY.name)
        assert finding.sentence.endswith("(no loss of recurrent.l0_reverse has a step before it)")
        assert finding.suggestions[-1].startswith("Read the final state of recurrent.l0_reverse")
    finding = judge(flow(last))
    assert finding.verdict is Verdict.TOO_SHORT and len(finding.suggestions) == 1


@pytest.mark.parametrize(
    ("source", "name", "step", "row", "said"),
    [
        (Source.WEIGHTS, "recurrent.l1", -1, -1, "the weights recurrent.l1 hold a NaN or an infinity"),
        (Source.INPUT, "recurrent.l0", 3, 2, "the input holds a NaN or an infinity at step 3, row 2 of recurrent.l0"),
        (Source.STATE, "l0", 3, 2, "the state becomes NaN or infinite at step 3, row 2 of l0"),
        (Source.LOSS, "", -1, -1, "the loss is nan, though all states are finite"),
        (Source.GRADIENT, "l0", 5, 0, "the gradient becomes NaN or infinite at step 5, row 0 of l0"),
    ],
)
def test_what_is_not_finite_comes_first(source, name, step, row, said):
    dead = layer(by_step=(0.0, 0.0))
    finding = judge(flow(dead, nonfinite=NonFinite(source, name, step, row), loss=math.nan, steps=1))
    assert (finding.verdict, finding.layer) == (Verdict.NON_FINITE, name)
    assert finding.sentence.startswith(f"non-finite: {said}")
    assert ("step" in finding.numbers) == (step >= 0) and finding.suggestions
    assert judge(flow(nonfinite=NonFinite(source, name, step, row))).verdict is Verdict.NON_FINITE


def test_a_norm_that_is_not_finite_is_found_without_being_named():
    finding = judge(flow(HEALTHY, layer("l1", by_step=(math.inf, math.nan, 1.0))))
    assert (finding.verdict, finding.layer, finding.numbers["step"]) == (Verdict.NON_FINITE, "l1", 1)


SICK = {
    Verdict.NO_GRADIENT: layer("l1", by_step=(0.0,)),
    Verdict.EXPLODING: layer("l1", by_lag=decay(1.3), units=GROWING),
    Verdict.CHAOTIC: layer("l1", by_lag=decay(1.3), units=STILL, lyapunov=lyapunov(0.26, 0.01)),
    Verdict.TRANSIENT: layer("l1", by_lag=PEAKED),
    Verdict.SATURATED: layer("l1", by_lag=decay(0.5), activations=[activation(full=0.8)]),
    Verdict.VANISHING: layer("l1", by_lag=decay(0.5)),
    Verdict.HEALTHY: layer("l1", by_lag=decay(0.89)),
}


@pytest.mark.parametrize("verdict", SICK, ids=str)
def test_the_worst_layer_decides(verdict):
    order = [HEALTHY, SICK[verdict]]
    for layers in (order, order[::-1]):
        finding = judge(flow(*layers))
        assert (finding.verdict, finding.layer) == (verdict, "l1")
    milder = [one for one in SICK if SEVERITY.index(one) > SEVERITY.index(verdict)]
    for other in milder:
        assert judge(flow(replace(SICK[other], name="below.l0"), SICK[verdict])).layer == "l1"


def test_among_equals_the_shortest_or_the_steepest_decides():
    fast, slow = layer("l0", by_lag=decay(0.3)), layer("l1", by_lag=decay(0.5))
    assert judge(flow(fast, slow)).layer == judge(flow(slow, fast)).layer == "l0"
    steep, flat = layer("a.l0", by_lag=decay(1.5)), layer("b.l0", by_lag=decay(1.2))
    assert judge(flow(steep, flat)).layer == judge(flow(flat, steep)).layer == "a.l0"


def test_below_another_layer_of_its_module_a_curve_that_rises_is_no_growth_of_its_own():
    """It gets its gradient from the memory above it, little by little: only its own gains tell whether it grows."""
    steps = list(range(9))

    def gains(factor):
        return GainMap(steps, steps, [[factor ** (t - r) if t >= r else math.nan for r in steps] for t in steps])

    top, above = layer("rnn.l1_reverse", by_lag=decay(0.9)), layer("l1", by_lag=decay(0.9))
    low = layer("rnn.l0", by_lag=decay(1.3), gains=gains(0.9))
    assert _verdict(low, top) is Verdict.HEALTHY
    assert _verdict(replace(low, gains=None), top) is Verdict.HEALTHY
    assert _verdict(low, above) is Verdict.EXPLODING  # the layer above is that of another module
    grows = replace(low, gains=gains(2.0))
    finding = judge(flow(grows, top))
    assert (finding.verdict, finding.layer) == (Verdict.EXPLODING, "rnn.l0")
    assert finding.numbers["end"] == pytest.approx(2.0**4) and finding.numbers["end_lag"] == 4  # of five gains or more
    passing = [[[1.0, 5.0, 8.0, 2.0, 1.0][t - r] if 0 <= t - r < 5 else math.nan for r in steps] for t in steps]
    assert _verdict(replace(low, gains=GainMap(steps, steps, passing)), top) is Verdict.TRANSIENT
    assert _verdict(replace(low, by_lag=decay(0.5)), top) is Verdict.VANISHING


def test_a_record_without_measurements_claims_nothing():
    finding = judge(flow(layer()))
    assert finding.verdict is Verdict.HEALTHY and finding.sentence.startswith("healthy as far as can be told")
    by_exponent = judge(flow(layer(lyapunov=lyapunov(-0.01, 0.001))))
    assert by_exponent.sentence.startswith("healthy as far as λ1 = -0.01 per step tells")
    without_median = replace(decay(0.5), quantiles={"0.25": [1.0]})
    assert judge(flow(layer(by_lag=without_median))).sentence == finding.sentence
    assert finding.numbers == {"wanted_lag": 25}


def _memory(whole=1.0, shorter=(3.0, 1.5, 1.004), gains=(), naive=2.0):
    contexts = [Context(4 * place + 1, loss, 0.1) for place, loss in enumerate(shorter)]
    return Memory(400, whole, naive, 40, contexts, [LagGain(low, 2 * low - 1, low, *gain) for low, *gain in gains])


LOST = layer(by_lag=decay(0.5), horizons=[horizon(6.6, 6.0, 7.0)])


def test_a_lost_gradient_is_a_fault_only_where_inputs_beyond_its_reach_would_lower_the_loss():
    judged = judge(replace(flow(LOST), memory=_memory()))
    assert judged.verdict is Verdict.HEALTHY and judged.numbers["used"] == 9
    assert judged.sentence == (
        "healthy: the predictions use the last 9 steps, and nothing further back was found to lower the loss; the "
        "gradient of recurrent.l0 falls to 1 % within 6.6 steps"
    )
    for gain in ((4, 0.5, 0.1), (8, 0.5, 0.2), (8, 0.019, 0.001), (8, 0.5, math.nan)):  # within reach, uncertain, small
        assert judge(replace(flow(LOST), memory=_memory(gains=[gain]))).verdict is Verdict.HEALTHY
    judged = judge(replace(flow(LOST), memory=_memory(gains=[(8, 0.5, 0.1), (16, 0.2, 0.01)])))
    assert judged.verdict is Verdict.VANISHING
    assert judged.sentence.endswith(
        "inputs 8 to 15 steps back, which the model does not use, would lower the loss by 0.5 ± 0.1 or more"
    )
    assert (judged.numbers["missed_lag"], judged.numbers["missed"]) == (8, 0.5)


def test_growth_is_a_fault_only_where_the_loss_shows_it():
    grown = layer(by_lag=decay(1.3), units=GROWING)
    assert judge(replace(flow(grown), memory=_memory())).verdict is Verdict.HEALTHY
    nothing = judge(replace(flow(grown), memory=_memory(whole=2.1, shorter=(3.0, 2.1))))
    assert nothing.verdict is Verdict.EXPLODING and nothing.sentence.endswith("no better than a naive prediction")
    harm = judge(replace(flow(grown), memory=_memory(shorter=(3.0, 0.6, 0.9))))
    assert harm.verdict is Verdict.EXPLODING
    assert harm.sentence.endswith("with the last 5 steps alone the loss is 0.4 lower")
    assert judge(replace(flow(grown), memory=_memory(shorter=(3.0, 0.8)))).verdict is Verdict.HEALTHY, "uncertain"


def test_of_a_model_that_has_learned_nothing_the_used_past_is_not_said():
    judged = judge(replace(flow(LOST), memory=_memory(whole=2.1)))
    assert judged.sentence.startswith("healthy so far: the model is no better yet than a naive prediction")
    assert judge(replace(flow(LOST), memory=_memory(naive=None))).sentence.startswith("healthy: the predictions use")


def test_a_dead_or_broken_model_needs_no_loss_to_show_it():
    dead = layer("l0", by_step=(0.0, 0.0))
    assert judge(replace(flow(dead), memory=_memory())).verdict is Verdict.NO_GRADIENT
    broken = flow(HEALTHY, nonfinite=NonFinite(Source.STATE, "l0", 3, 2))
    assert judge(replace(broken, memory=_memory())).verdict is Verdict.NON_FINITE


def test_a_gated_cell_that_is_full_is_not_saturated():
    full = {"by_lag": decay(0.5), "activations": [activation(full=0.8)]}
    assert _verdict(layer(**full)) is Verdict.SATURATED
    assert _verdict(layer(cell="LSTMCell", **full)) is _verdict(layer(cell="GRUCell", **full)) is Verdict.VANISHING


def test_a_flow_without_layers_is_refused():
    with pytest.raises(ArgumentError, match="flow has no layers"):
        judge(flow())
