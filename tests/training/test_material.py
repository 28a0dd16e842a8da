import math
from dataclasses import replace

import pytest

from throughtime.data.entropies import bigram_entropy, unigram_entropy
from throughtime.errors import ArgumentError, InputFileError
from throughtime.training.material import first_record, prepare
from throughtime.training.model import SequenceModel
from throughtime.training.settings import DataSettings


def test_the_two_parts_are_the_text(small_run, text_file):
    material = prepare(small_run)
    text = text_file.read_text()
    assert material.vocabulary.decode([*material.training, *material.held_out]).decode() == text
    assert material.held_out.tolist() == material.vocabulary.encode(_symbols(text[-240:])).tolist()


def _symbols(text):
    from throughtime.data.text import characters

    return characters(text)


def test_bytes_are_counted_as_bytes(small_run, text_file):
    material = prepare(replace(small_run, data=DataSettings(units="bytes")))
    assert len(material.training) + len(material.held_out) == len(text_file.read_bytes()) > 2400
    assert len(material.vocabulary) == 256


def test_the_record_says_what_the_text_and_the_model_are(small_run, tmp_path):
    material = prepare(small_run)
    model = SequenceModel(len(material.vocabulary), small_run.model)
    record = first_record(small_run, material, model, tmp_path / "run")
    assert record.baselines.uniform == math.log(len(material.vocabulary))
    assert record.baselines.unigram == unigram_entropy(material.held_out)
    assert record.baselines.bigram == bigram_entropy(material.held_out)
    assert record.model.parameters == sum(value.numel() for value in model.state_dict().values())
    assert "".join(sorted(record.data.vocabulary)) == record.data.vocabulary and "ü" in record.data.vocabulary
    assert record.reproduce == f"throughtime train --config {tmp_path / 'run'}/config.yaml"
    assert {"throughtime", "torch", "lightning"} <= set(record.versions)


@pytest.mark.parametrize(
    ("content", "error", "said"),
    [
        (b"abc", InputFileError, "too short"),
        (b"abc" * 5, ArgumentError, "--update-every 5 is longer than the training text, which has 5 symbols"),
        (b"abc\0" * 500, InputFileError, "NUL"),
    ],
)
def test_a_text_that_cannot_be_trained_on_is_refused(small_run, text_file, content, error, said):
    text_file.write_bytes(content)
    shorter = replace(small_run, data=DataSettings(validation=0.1 if len(content) != 15 else 0.67))
    with pytest.raises(error, match=said):
        prepare(shorter)
