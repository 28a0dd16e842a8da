import math
from collections import Counter

import pytest
import torch
from runs.running import alphabet

from throughtime.data.text import TextVocabulary, characters
from throughtime.errors import ArgumentError
from throughtime.runs.model import SequenceModel
from throughtime.runs.settings import ModelSettings
from throughtime.runs.tasks.sampling import encode_prompt, sample, written


@pytest.fixture
def model():
    torch.manual_seed(3)
    return SequenceModel(alphabet(5), ModelSettings(hidden_size=6, num_layers=2)).eval()


def _draw(model, length=40, temperature=1.0, seed=0, prompt=(1, 2)):
    return list(sample(model, prompt, length, temperature, torch.Generator().manual_seed(seed)))


def test_the_same_seed_gives_the_same_text_and_another_seed_another(model):
    assert _draw(model) == _draw(model)
    assert _draw(model) != _draw(model, seed=1)
    assert len(_draw(model)) == 40


def test_temperature_zero_takes_the_likeliest_symbol_given_all_before(model):
    text = [1, 2]
    for _ in range(12):
        logits, _ = model(torch.tensor(text).unsqueeze(1))
        text.append(int(logits[-1].argmax()))
    assert _draw(model, length=12, temperature=0) == text[2:]
    assert _draw(model, length=12, temperature=1e-30) == text[2:]


def test_symbols_come_as_often_as_the_model_says(model):
    logits, _ = model(torch.tensor([[1], [2]]))
    expected = (logits[-1, 0].double() / 0.5).softmax(-1)
    counts = Counter(_draw(model, length=1, temperature=0.5, seed=seed)[0] for seed in range(4000))
    for symbol, share in enumerate(expected.tolist()):
        assert counts[symbol] / 4000 == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / 4000))


def test_sampling_leaves_torchs_generator_and_the_gradient_mode_alone(model):
    before = torch.get_rng_state()
    drawn = sample(model, [1], 3, 1.0, torch.Generator().manual_seed(0))
    next(drawn)
    assert torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("temperature", [-0.5, math.nan])
def test_a_temperature_that_is_none_is_refused_before_any_work(model, temperature):
    with pytest.raises(ArgumentError, match="temperature is"):
        sample(model, [1], 3, temperature, torch.Generator())


def test_a_negative_length_is_refused(model):
    with pytest.raises(ArgumentError, match="length is -1"):
        sample(model, [1], -1, 1.0, torch.Generator())


def test_a_prompt_with_an_unknown_character_is_refused_by_name():
    vocabulary = TextVocabulary.of(characters("abc\n"), "characters")
    assert encode_prompt(vocabulary, "cab") == [3, 1, 2]
    with pytest.raises(ArgumentError, match=r"prompt holds 'ä' \(U\+00E4\); the model never saw"):
        encode_prompt(vocabulary, "aäb")


def test_an_empty_prompt_is_the_start_of_a_line():
    assert encode_prompt(TextVocabulary.of(characters("a\nb\t"), "characters"), "") == [1]
    assert encode_prompt(TextVocabulary.of(characters("ab"), "characters"), "") == [0]


def test_a_prompt_of_bytes_is_its_utf8():
    vocabulary = TextVocabulary.of(characters(""), "bytes")
    assert encode_prompt(vocabulary, "aé") == [0x61, 0xC3, 0xA9]
    assert encode_prompt(vocabulary, "") == [10]


def test_a_byte_that_is_a_part_of_a_character_waits_for_the_others():
    vocabulary = TextVocabulary.of(characters(""), "bytes")
    assert list(written(vocabulary, "x", "aé".encode())) == ["x", "a", "", "é", ""]
    assert "".join(written(vocabulary, "", "é".encode()[:1])) == "\ufffd"
