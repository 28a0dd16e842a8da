import string

import pytest

from throughtime.diagnosis import Suggestion


def _placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("suggestion", Suggestion, ids=str)
def test_every_suggestion_is_whole_sentences_with_a_number_or_a_name(suggestion):
    text = suggestion.value
    assert text.endswith(".") and text[0].isupper() and _placeholders(text)


def test_numbers_are_filled_in_with_three_digits():
    said = Suggestion.LOWER_GAIN.of(weight="model.rnn.weight_hh_l0", factor=0.7788, exponent=0.25)
    assert said.startswith("Lower the gain: multiply model.rnn.weight_hh_l0 by 0.779, which is exp(-λ1)")
