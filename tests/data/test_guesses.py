import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from throughtime.data import guesses
from throughtime.data.counting import Counting
from throughtime.data.guesses import PairCounts


def _codes(*numbers):
    return np.array(numbers, dtype=np.int32)


def _drawn(count, size=7, seed=3):
    shares = np.arange(1, size + 1) / np.arange(1, size + 1).sum()
    return np.random.default_rng(seed).choice(size, size=count, p=shares).astype(np.int32)


def test_the_losses_are_those_of_the_formulas():
    counts = PairCounts.of(_codes(0, 1, 0, 1, 0, 2), 4)
    single = [(3 + 1) / 10, (2 + 1) / 10, (1 + 1) / 10, (0 + 1) / 10]
    after_0 = [(0 + single[0]) / 4, (2 + single[1]) / 4, (1 + single[2]) / 4, (0 + single[3]) / 4]
    unigram, bigram = counts.losses(_codes(2, 0, 1, 0, 3))  # after 2 nothing came, so that p(b | 2) = p(b)
    assert unigram == pytest.approx(-sum(math.log(single[b]) for b in (0, 1, 0, 3)) / 4)
    after_1 = (2 + single[0]) / 3
    assert bigram == pytest.approx(-sum(map(math.log, (single[0], after_0[1], after_1, after_0[3]))) / 4)


def test_guesses_of_pairs_are_those_of_a_stream_that_has_seen_the_text():
    text, asked = _drawn(400), _drawn(50, seed=4)
    stream = Counting()
    for byte in text:
        stream.losses(int(byte))
    stream_losses = []
    for before, after in zip(asked[:-1].tolist(), asked[1:].tolist(), strict=True):
        singles, pairs, total, _ = stream.state()
        fresh = Counting()
        fresh.restore((dict(singles), {first: dict(others) for first, others in pairs.items()}, total, before))
        stream_losses.append(fresh.losses(after))
    found = PairCounts.of(text, 256).losses(asked)
    assert found == pytest.approx(np.mean(stream_losses, axis=0), rel=1e-12)


@given(st.lists(st.integers(0, 4), min_size=2, max_size=30))
def test_the_probabilities_after_each_symbol_sum_to_1(text):
    counts = PairCounts.of(_codes(*text), 5)
    for before in range(5):
        losses = [counts.losses(_codes(before, after)) for after in range(5)]
        for kind in zip(*losses, strict=True):
            assert sum(math.exp(-loss) for loss in kind) == pytest.approx(1)


def test_another_text_does_not_change_the_guesses():
    training, held_out = _drawn(300), _codes(0, 6, 0, 6, 0)
    alone = PairCounts.of(training, 7)
    assert alone.losses(held_out)[1] > PairCounts.of(held_out, 7).losses(held_out)[1] + 1


@pytest.mark.parametrize("name", ["MOST_PAIRS", "_DENSE"])
def test_many_symbols_are_counted_alike(monkeypatch, name):
    text = _drawn(300)
    usual = PairCounts.of(text, 7)
    monkeypatch.setattr(guesses, name, 10)
    bounded = PairCounts.of(text, 7)
    if name == "_DENSE":
        assert bounded == usual
        return
    kept = {(a, b): n for a, after in enumerate(bounded.pairs) for b, n in after.items()}
    every = {(a, b): n for a, after in enumerate(usual.pairs) for b, n in after.items()}
    assert len(kept) == 10 and min(kept.values()) >= max(n for pair, n in every.items() if pair not in kept)
    assert bounded.losses(text)[1] > usual.losses(text)[1]


def test_counts_come_back_from_their_plain_form():
    counts = PairCounts.of(_drawn(300), 9)
    assert PairCounts.from_plain(counts.to_plain(), 9) == counts


@pytest.mark.parametrize(
    "plain",
    [
        {"symbols": "1 2", "pairs": ["1:2"]},
        {"symbols": "1", "pairs": ["", ""]},
        {"symbols": "1 -2", "pairs": ["", ""]},
        {"symbols": "1 2", "pairs": ["2:1", ""]},
        {"symbols": "1 2", "pairs": ["0:1:4", ""]},
        {"symbols": f"1 {2**63}", "pairs": ["", ""]},
        {"symbols": "1 2"},
        {"symbols": 3, "pairs": ["", ""]},
    ],
)
def test_what_are_no_counts_is_refused(plain):
    with pytest.raises((ValueError, KeyError, TypeError)):
        PairCounts.from_plain(plain, 2)
