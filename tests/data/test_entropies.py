import math

import numpy as np
import pytest

from throughtime.data.entropies import bigram_entropy, unigram_entropy


def _codes(*numbers):
    return np.array(numbers, dtype=np.int32)


def test_the_unigram_entropy_is_that_of_the_frequencies():
    assert unigram_entropy(_codes(0, 3, 3, 7)) == pytest.approx(0.25 * math.log(4) * 2 + 0.5 * math.log(2), abs=1e-15)


def test_a_constant_text_has_no_entropy():
    assert unigram_entropy(_codes(5, 5, 5)) == 0.0
    assert bigram_entropy(_codes(5, 5, 5)) == 0.0


def test_an_alternating_text_is_known_from_its_last_symbol():
    codes = _codes(*[0, 1] * 20)
    assert unigram_entropy(codes) == pytest.approx(math.log(2), abs=1e-15)
    assert bigram_entropy(codes) == pytest.approx(0.0, abs=1e-15)


def test_the_bigram_entropy_is_the_best_mean_loss_of_a_table_of_pairs():
    generator = np.random.default_rng(3)
    codes = generator.choice(7, size=301, p=np.array([1, 2, 3, 4, 5, 6, 7]) / 28).astype(np.int32)
    pairs = list(zip(codes[:-1].tolist(), codes[1:].tolist(), strict=True))
    loss = 0.0
    for before, after in pairs:
        follows = [second for first, second in pairs if first == before]
        loss -= math.log(follows.count(after) / len(follows))
    assert bigram_entropy(codes) == pytest.approx(loss / len(pairs), rel=1e-12)
