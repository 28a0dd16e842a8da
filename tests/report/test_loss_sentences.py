import math

import pytest

from throughtime.records import Baselines
from throughtime.report.loss_sentences import LossVerdict, both, verdict, verdict_parts

BASELINES = Baselines(uniform=4.0, unigram=3.0, bigram=2.0)


@pytest.mark.parametrize(
    ("loss", "found"),
    [
        (3.5, LossVerdict.NOTHING),
        (3.0, LossVerdict.NOTHING),
        (4.0, LossVerdict.WORSE_THAN_CHANCE),
        (math.nan, LossVerdict.WORSE_THAN_CHANCE),
        (3.999, LossVerdict.NOTHING),
        (2.999, LossVerdict.PAIRS_AT_MOST),
        (2.0, LossVerdict.PAIRS_AT_MOST),
        (1.999, LossVerdict.CONTEXT),
    ],
)
def test_the_verdict_is_where_the_loss_stands_between_the_guesses(loss, found):
    assert verdict(loss, BASELINES) is found


def test_a_bit_is_ln_2_nats():
    assert both(math.log(2)) == "0.693 nats (1.000 bits)"


def test_a_loss_is_told_by_the_nearer_guess():
    figures, meaning = verdict_parts(2.5, BASELINES, "bytes")
    assert figures == "2.500 nats (3.607 bits) per byte, 0.500 nats above the bigram guess"
    assert meaning == LossVerdict.PAIRS_AT_MOST.value.format(unit="byte")
    assert verdict_parts(4.5, BASELINES, "bytes")[0].endswith("0.500 nats above the uniform guess")
    assert verdict_parts(1.5, BASELINES, "bytes")[0].endswith("0.500 nats below the bigram guess")


@pytest.mark.parametrize(
    ("loss", "figures", "meaning"),
    [
        (0.5, "0.5, 1.5 below the baseline 'mean'", "it beats every naive prediction"),
        (2.5, "2.5, 0.5 below the baseline 'zero'", "1 naive prediction did as well or better"),
        (3.0, "3, 0 above the baseline 'zero'", "2 naive predictions did as well or better"),
    ],
)
def test_a_loss_beside_baselines_that_a_task_names(loss, figures, meaning):
    assert verdict_parts(loss, {"zero": 3.0, "mean": 2.0}, "series") == (figures, meaning)


def test_without_baselines_there_is_nothing_to_compare_with():
    assert verdict_parts(0.5, {}, "series") == ("0.5", "there is no naive prediction to compare with")
