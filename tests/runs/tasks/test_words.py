"""A column of words."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from runs.tasks.laws import followed, words

from throughtime.errors import InputFileError
from throughtime.runs.tasks.words import WordsOf


@given(st.text("abc.", min_size=2, max_size=20).filter(lambda text: text.strip(".")))
def test_chances_sum_to_1_and_the_word_before_stays(text):
    fitted = WordsOf.fit({"w": words(text)}, "w", followed(len(text)))
    assert set(fitted.levels) == set(text) - {"."}
    every = torch.arange(fitted.size, dtype=torch.float64)[:, None]
    before = every[:1].expand(fitted.size, 1)
    for law in (fitted.marginal(), fitted.persistence(before)):
        assert float(law.log_prob(every).exp().sum()) == pytest.approx(1)
    pairs = [(one, other) for one, other in zip(text, text[1:], strict=False) if "." not in one + other]
    stays = (sum(one == other for one, other in pairs) + 0.5) / (len(pairs) + 1)
    if fitted.size > 1:
        assert float(fitted.persistence(every[:1]).log_prob(every[:1]).exp()) == pytest.approx(stays)
    outputs = torch.tensor(fitted.start(), dtype=torch.float64).expand(fitted.size, -1)
    torch.testing.assert_close(
        fitted.law(outputs, before).log_prob(every), fitted.marginal().log_prob(every), rtol=1e-4, atol=1e-5
    )


def test_words_are_numbered_and_unknown_ones_refused():
    fitted = WordsOf.fit({"w": words("bca.b")}, "w", followed(3, 2))
    np.testing.assert_array_equal(fitted.numbers({"w": words("ab.c")})[:, 0], [2, 0, np.nan, 1])
    with pytest.raises(InputFileError, match="The column w holds the word d, which the model never saw.*knows b, c, a"):
        fitted.numbers({"w": words("ad")})
    with pytest.raises(InputFileError, match="The column w has no value in the training part"):
        WordsOf.fit({"w": words("...")}, "w", followed(3))
