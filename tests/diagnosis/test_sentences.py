import math

import pytest
from diagnosis.records_of import curve, flow, horizon, layer, lyapunov

from throughtime.diagnosis.evidence import LayerEvidence
from throughtime.diagnosis.sentences import figure, notes, place_in_words, sentence
from throughtime.records import NonFinite, Source, Verdict


def _evidence(wanted=2, **more) -> LayerEvidence:
    one = layer(**more)
    return LayerEvidence.of(flow(one, wanted=wanted), one)


def test_numbers_have_three_digits_and_counts_stay_whole():
    assert (figure(0.123456), figure(12345), figure("l0"), figure(math.inf)) == ("0.123", "12345", "l0", "inf")


@pytest.mark.parametrize(
    ("nonfinite", "words"),
    [
        (NonFinite(Source.STATE, "l0", 3, 2), "step 3, row 2 of l0"),
        (NonFinite(Source.INPUT, "", 0, 0), "step 0, row 0"),
        (NonFinite(Source.GRADIENT, "l0", -1, -1), "some step of l0"),
        (NonFinite(Source.LOSS, "", -1, -1), "some step"),
    ],
)
def test_a_place_is_said_as_far_as_it_is_known(nonfinite, words):
    assert place_in_words(nonfinite) == words


def test_growth_and_fall_are_told_by_what_is_known():
    by_exponent = _evidence(lyapunov=lyapunov(0.182, 0.001))
    assert sentence(Verdict.EXPLODING, by_exponent).endswith("grows by a factor of 1.2 per step (λ1 = 0.182 ± 0.001)")
    by_curve = _evidence(by_lag=curve(1.0, 5.0, 12.0))
    assert sentence(Verdict.EXPLODING, by_curve).endswith("grows 12-fold by lag 2 in the median")
    fading = _evidence(25, lyapunov=lyapunov(-0.5, math.nan))
    assert sentence(Verdict.VANISHING, fading).endswith(
        "shrinks by a factor of 0.607 per step (λ1 = -0.5), and 25 steps are wanted"
    )


def test_notes_are_for_verdicts_on_what_is_left_alone():
    few = _evidence(by_lag=curve(1.0, 0.1, 0.005, samples=4), horizons=[horizon(1.8, 0.9, 1.9)])
    assert notes(Verdict.VANISHING, few) == ["uncertain: from 4 samples only"]
    assert notes(Verdict.EXPLODING, few) == []
    close = _evidence(by_lag=curve(1.0, 0.1, 0.005, samples=5), horizons=[horizon(1.8, 0.9, 2.1)])
    assert notes(Verdict.HEALTHY, close) == [
        "close: the gradient falls to 1 % within 0.9 to 2.1 steps, with 90 % confidence"
    ]
