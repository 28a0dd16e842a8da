import math

import pytest

from throughtime.records import Baselines
from throughtime.report.losses import LossVerdict, both, verdict, verdict_parts

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
def test_the_verdict_is_where_the_loss_stands_between_the_entropies(loss, found):
    assert verdict(loss, BASELINES) is found


def test_a_bit_is_ln_2_nats():
    assert both(math.log(2)) == "0.693 nats (1.000 bits)"


def test_a_loss_is_told_by_the_nearer_entropy():
    figures, meaning = verdict_parts(2.5, BASELINES, "bytes")
    assert figures == "2.500 nats (3.607 bits) per byte, 0.500 nats above the bigram entropy"
    assert meaning == LossVerdict.PAIRS_AT_MOST.value.format(unit="byte")
    assert verdict_parts(4.5, BASELINES, "bytes")[0].endswith("0.500 nats above the uniform entropy")
    assert verdict_parts(1.5, BASELINES, "bytes")[0].endswith("0.500 nats below the bigram entropy")
