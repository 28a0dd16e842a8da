"""What texts and streams of bytes share: the words about a loss."""

from throughtime.data.text import TextVocabulary
from throughtime.records import Baselines
from throughtime.runs.tasks import Text
from throughtime.runs.tasks.base import Metric
from throughtime.runs.tasks.symbols import SymbolSettings

BASELINES = Baselines(uniform=4.0, unigram=3.0, bigram=2.0)


def _task(units):
    return Text(TextVocabulary(units, (97, 98)), SymbolSettings(units))


def _said(loss, units):
    return "\n".join(_task(units).result_lines([Metric("cross-entropy", loss, "nats")], BASELINES))


def test_the_sentence_says_how_far_from_the_nearer_guess():
    assert _said(3.25, "characters") == (
        "Result  3.250 nats (4.689 bits) per character, 0.250 nats above the unigram guess:\n"
        "        it does no better here than knowing how frequent each character is: no knowledge of order shows."
    )
    assert _said(4.5, "bytes") == (
        "Result  4.500 nats (6.492 bits) per byte, 0.500 nats above the uniform guess:\n"
        "        a guess that gives every byte the same chance does no worse: the text is unlike that of the training, "
        "or the training diverged."
    )
    assert "0.500 nats above the bigram guess" in _said(2.5, "bytes")
    assert "a guess from the last byte alone is worse" in _said(1.5, "bytes")
    assert "0.500 nats below the bigram guess" in _said(1.5, "bytes")


def test_the_lines_of_the_baselines_stand_in_columns():
    first, second = _task("characters").baseline_lines(BASELINES)
    assert first.index("3.000 nats") == second.index("2.000 nats")
    assert first.endswith("per character")


def test_a_loss_is_said_in_nats_and_bits():
    assert _task("characters").said_in_bar(1.5) == "1.500 nats = 2.164 bits/char"
    assert _task("bytes").said_in_bar(1.5) == "1.500 nats = 2.164 bits/byte"
