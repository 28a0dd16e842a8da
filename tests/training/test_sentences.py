import math

import pytest

from throughtime.records import Baselines, MetricsRow
from throughtime.training.sentences import (
    Verdict,
    baseline_lines,
    both,
    plural,
    validation_line,
    verdict,
    verdict_sentence,
)

BASELINES = Baselines(uniform=4.0, unigram=3.0, bigram=2.0)


@pytest.mark.parametrize(
    ("loss", "found"),
    [
        (3.5, Verdict.NOTHING),
        (3.0, Verdict.NOTHING),
        (math.nan, Verdict.NOTHING),
        (2.999, Verdict.PAIRS_AT_MOST),
        (2.0, Verdict.PAIRS_AT_MOST),
        (1.999, Verdict.CONTEXT),
    ],
)
def test_the_verdict_is_where_the_loss_stands_between_the_entropies(loss, found):
    assert verdict(loss, BASELINES) is found


def test_the_sentence_says_how_far_from_the_nearer_entropy():
    assert verdict_sentence(3.25, BASELINES, "characters") == (
        "Result  3.250 nats (4.689 bits) per character, 0.250 nats above the unigram entropy:\n"
        "        it does no better here than knowing how frequent each character is: no knowledge of order shows."
    )
    assert "0.500 nats above the bigram entropy" in verdict_sentence(2.5, BASELINES, "bytes")
    assert "no guess from the last byte alone" in verdict_sentence(1.5, BASELINES, "bytes")
    assert "0.500 nats below the bigram entropy" in verdict_sentence(1.5, BASELINES, "bytes")


def test_a_bit_is_ln_2_nats():
    assert both(math.log(2)) == "0.693 nats (1.000 bits)"


def test_the_lines_of_the_baselines_stand_in_columns():
    first, second = baseline_lines(BASELINES, "characters")
    assert first.index("3.000 nats") == second.index("2.000 nats")
    assert first.endswith("per character")


def test_the_line_of_a_validation_shows_the_loss_beside_both_entropies_and_fits_a_terminal():
    line = validation_line(MetricsRow(168, 1.0, 2.25, 1.75, 1e-3, 1.0, 0.0, 43210.0, 99.0), 100, BASELINES)
    for part in (
        "train 2.250",
        "validation 1.750 nats (2.525 bits)",
        "bigram 2.000",
        "unigram 3.000",
        "43.2k tokens/s",
    ):
        assert part in line
    assert len(line) <= 120


def test_counts_have_their_plural():
    assert plural(1, "epoch") == "1 epoch"
    assert plural(1200, "update") == "1,200 updates"
