import math
from dataclasses import replace

import pytest
from diagnosis.records_of import activation, curve, decay, flow, horizon, layer, lyapunov, spectrum, units

from throughtime.diagnosis.evidence import LayerEvidence, factor_of
from throughtime.records import CellTraits, GainMap, Role

STEPS, BY_LAG = range(7), {0: 1.0, 1: 0.5, 2: 7.0}
GAINS = GainMap([*STEPS], [*STEPS], [[BY_LAG.get(t - r, math.nan) for r in STEPS] for t in STEPS])


def _of(one, *others, **more) -> LayerEvidence:
    return LayerEvidence.of(flow(one, *others, **more), one)


def test_growth_is_read_off_the_gains_only_below_another_layer_of_the_same_module():
    below = layer("rnn.l0", by_lag=decay(1.1), gains=GAINS)
    assert _of(below).peak_lag == 30
    for above in ("rnn.l1", "rnn.l10_reverse"):
        evidence = _of(below, layer(above))
        assert (evidence.peak, evidence.peak_lag, evidence.end) == (7.0, 2, 7.0)
    for other in ("rnn.l0_reverse", "rnn.inner.l1", "l1", "enc.l1"):
        assert _of(below, layer(other)).peak_lag == 30


def test_the_depth_is_that_of_the_record_and_not_of_the_name():
    below = layer("rnn.l0", by_lag=decay(1.1), gains=GAINS)
    assert _of(below, replace(layer("rnn.second"), depth=1)).peak_lag == 2


def test_what_is_left_is_that_of_the_wanted_lag_or_the_last_before_it():
    evidence = _of(layer(by_lag=decay(0.9)), wanted=7)
    assert (evidence.left, evidence.left_lag) == (pytest.approx(0.9**7), 7)
    assert evidence.numbers()["at_wanted_lag"] == pytest.approx(0.9**7)
    short = _of(layer(by_lag=decay(0.9, lags=5)), wanted=7)
    assert short.left_lag == 5 and "at_wanted_lag" not in short.numbers()


def test_an_exponent_is_certain_by_two_standard_errors():
    pairs = ((0.3, 0.1), (0.2, 0.1), (-0.3, 0.1), (1.0, math.nan))
    assert [_of(layer(lyapunov=lyapunov(*pair))).sign for pair in pairs] == [1, 0, -1, 0]


def test_the_exact_exponent_is_that_of_a_linear_layer_whose_step_is_its_weights():
    linear = layer(linear=True, spectrum=spectrum(0.9), lyapunov=lyapunov(0.2, 0.1))
    assert _of(linear).exponent == pytest.approx(math.log(0.9)) and _of(linear).error == 0
    halved = replace(linear, traits=CellTraits(slope_bound=0.5))
    assert _of(halved).exponent == pytest.approx(math.log(0.45))
    for other in (replace(linear, traits=CellTraits()), replace(linear, linear=False)):
        assert _of(other).exponent == 0.2


def test_the_fullest_content_and_the_first_keeping_gate_count():
    constants = [0.5, 1.0, 1.5, 2.0, 9.0]
    gates = [activation("f", Role.KEEP, 0.0, 1.0, 0.9, constants), activation("k", Role.KEEP, 0.0, 1.0, 0.9, [7.0])]
    evidence = _of(layer(activations=[*gates, activation(full=0.2), activation("c", full=0.4)]))
    assert (evidence.saturated, evidence.kept) == (pytest.approx(0.4), 1.5)
    assert _of(layer(activations=[activation(), activation(high=math.inf)])).saturated is None


def test_samples_are_those_at_the_horizon_where_it_comes_first():
    curves = replace(curve(1.0, 0.004, 0.001, 0.001), samples=[40, 30, 20, 4])
    assert _of(layer(by_lag=curves), wanted=3).samples == 4
    assert _of(layer(by_lag=curves, horizons=[horizon(0.83, 0.8, 0.9)]), wanted=3).samples == 30


def test_the_gain_per_step_is_that_of_the_curve_else_of_the_exponent():
    assert _of(layer(by_lag=curve(1.0, 0.5, 0.25, 0.0)), wanted=3).gain == pytest.approx(0.5)
    assert _of(layer(lyapunov=lyapunov(math.log(0.3), 0.1))).gain == pytest.approx(0.3)
    assert _of(layer()).gain is None and factor_of(1e9) < math.inf


def test_the_growth_of_the_state_compares_the_halves():
    assert _of(layer(units=units(1.0, 1.0, math.nan, 3.0, 3.0))).state_growth == 3.0
    assert _of(layer(units=units(0.0, 0.0))).state_growth == 1.0
    assert _of(layer(units=units(0.0, 1.0))).state_growth == math.inf and _of(layer()).state_growth is None
