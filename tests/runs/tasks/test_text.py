import math
from dataclasses import replace
from pathlib import Path

import pytest

from throughtime.data.guesses import PairCounts
from throughtime.data.text import characters, split
from throughtime.errors import ArgumentError, InputFileError
from throughtime.records import DataRecord
from throughtime.runs.model import SequenceModel
from throughtime.runs.recording.first_record import first_record
from throughtime.runs.settings import DataSettings
from throughtime.runs.tasks import Text
from throughtime.runs.tasks.symbols import SymbolSettings


def _codes(task, text):
    return task.vocabulary.encode(characters(text))


def test_the_two_parts_are_the_text(small_run, text_file):
    material = Text.prepare(small_run)
    codes = _codes(material.task, text_file.read_text())
    training, held_out = split(codes, 0.1)
    assert material.targets == (len(training), len(held_out)) == (2160, 240)
    streams = material.training
    assert streams.inputs.t().flatten().tolist() == training[: streams.inputs.numel()].tolist()
    assert material.held_out.streams.inputs.flatten().tolist() == held_out[:-1].tolist()
    assert material.held_out.streams.targets.flatten().tolist() == held_out[1:].tolist()


def test_bytes_are_counted_as_bytes(small_run, text_file):
    material = Text.prepare(replace(small_run, task=SymbolSettings(units="bytes")))
    assert sum(material.targets) == len(text_file.read_bytes()) > 2400
    assert len(material.task.vocabulary) == 256


def test_what_was_chosen_for_the_text_is_in_the_settings(small_run, text_file):
    told = replace(small_run.optimization, batch_size=0)
    settings = Text.prepare(replace(small_run, optimization=told)).settings
    assert settings.optimization.batch_size == 4 and settings.file == str(Path(text_file).resolve())


def test_the_record_says_what_the_text_and_the_model_are_and_gives_the_task_back(small_run, tmp_path, text_file):
    material = Text.prepare(small_run)
    task, held_out = material.task, material.held_out
    model = SequenceModel(task, small_run.model)
    data = DataRecord(small_run.file, held_out.sha256, held_out.bytes, task.unit).of_targets(*material.targets)
    record = first_record(task, small_run, model, tmp_path / "run", data, held_out.baselines)
    training, codes = split(_codes(task, text_file.read_text()), 0.1)
    assert record.baselines.uniform == math.log(len(task.vocabulary))
    assert (record.baselines.unigram, record.baselines.bigram) == PairCounts.of(training, len(task.vocabulary)).losses(
        codes
    )
    assert Text.from_record(record).counts == task.counts
    assert record.model.parameters == sum(value.numel() for value in model.state_dict().values())
    assert "".join(sorted(record.data.vocabulary)) == record.data.vocabulary and "ü" in record.data.vocabulary
    assert (record.task, record.data.units, record.model.embedding_size) == ("text", "characters", 5)
    assert record.reproduce == f"throughtime train --config {tmp_path / 'run'}/config.yaml"
    assert record.settings["embedding_size"] == 5 and "epochs" not in record.settings
    assert {"throughtime", "torch", "lightning"} <= set(record.versions)
    again = Text.from_record(record)
    assert (again.vocabulary, again.given) == (task.vocabulary, task.given)


@pytest.mark.parametrize(
    ("content", "error", "said"),
    [
        (b"abc", InputFileError, "too short"),
        (b"abc" * 5, ArgumentError, "update_every is 5; it is longer than the training part, which has 5 steps"),
        (b"abc\0" * 500, InputFileError, "NUL"),
    ],
)
def test_a_text_that_cannot_be_trained_on_is_refused(small_run, text_file, content, error, said):
    text_file.write_bytes(content)
    shorter = replace(small_run, data=DataSettings(validation=0.1 if len(content) != 15 else 0.67))
    with pytest.raises(error, match=said):
        Text.prepare(shorter)


def test_a_text_is_read_with_the_vocabulary_of_the_run(small_run, text_file, tmp_path):
    task = Text.fit(small_run)
    whole, held_out = task.read(str(text_file)), task.read(str(text_file), held_out_of=small_run)
    assert whole.streams.targets.numel() == 2399 and held_out.streams.targets.numel() == 239
    assert whole.sha256 == held_out.sha256 and whole.windows(10, 3).inputs.shape == (10, 3)
    other = tmp_path / "other.txt"
    other.write_text("the lazy Ж dog")
    with pytest.raises(
        InputFileError, match="holds 1 character that the model never saw.*`skip_unknown` leaves them out"
    ):
        task.read(str(other))
    data = task.read(str(other), skip_unknown=True)
    assert data.lines[0] == f"Text    {other}: 13 characters, 1 unknown character left out"


def test_a_row_is_a_symbol_with_its_cost(small_run):
    import torch

    from throughtime.runs.evaluation import predicted

    material = Text.prepare(small_run)
    model = SequenceModel(material.task, small_run.model).eval()
    rows = [
        row
        for outputs, chunk in predicted(model, material.held_out.streams)
        for row in material.task.rows(outputs, chunk)
    ]
    (metric,) = material.task.metrics(predicted(model, material.held_out.streams))
    assert len(rows) == 239 and set(rows[0]) == {"step", "stream", "character", "nats"}
    assert torch.tensor([row["nats"] for row in rows]).mean().item() == pytest.approx(metric.value, rel=1e-5)
    symbols = "".join(row["character"] for row in rows)
    assert symbols == Path(small_run.file).read_text()[-239:]
