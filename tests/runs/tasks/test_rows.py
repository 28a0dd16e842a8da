"""Task `rows`: numbers of a stream, predicted before they are read."""

import json
import math
import random

import pytest
import torch
from runs.running import silent

from throughtime.errors import ArgumentError, InputFileError
from throughtime.runs.checkpoints import load_run
from throughtime.runs.engine import resume, start
from throughtime.runs.evaluation import evaluate
from throughtime.runs.settings import DataSettings, ModelSettings, OptimizationSettings, RunSettings
from throughtime.runs.tasks import OnlineRows
from throughtime.runs.tasks.series_settings import SeriesSettings

SINE = [10 + 3 * math.sin(0.7 * step) for step in range(300)]


def _settings(path, given=None, **optimization):
    told = OptimizationSettings(online=True, update_every=5, threads=1, learning_rate=0.02, **optimization)
    model = ModelSettings(hidden_size=8, num_layers=1)
    given = given or SeriesSettings(target="y")
    return RunSettings(str(path), data=DataSettings(task="rows"), model=model, optimization=told, task=given)


@pytest.fixture
def table(tmp_path):
    """A sine with a word and a number beside it, some of both missing."""
    chance = random.Random(4)
    rows = [
        f"2020-01-{1 + step // 24:02d}T{step % 24:02d}:00,{'ab'[step % 2]},"
        f"{'' if step % 7 == 3 else f'{chance.gauss(0, 1):.3f}'},{'' if step % 11 == 5 else f'{number:.4f}'}"
        for step, number in enumerate(SINE)
    ]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["when,kind,noise,y", *rows]) + "\n")
    return path


def _started(task, path):
    return [row for piece in task.open(str(path), False) for row in piece]


def test_a_sine_is_learned_better_than_by_naive_guesses(table, tmp_path):
    record = start(_settings(table), tmp_path / "run", False, silent)
    assert record.results.last_validation_loss < 0.5 * min(record.levels.values())
    assert record.data.training_symbols == 300 and record.data.bytes == table.stat().st_size
    assert list(record.facts["reading"]["columns"].items()) == [("kind", "word"), ("noise", "number")]


def test_a_prediction_rests_on_the_rows_before_alone(table, tmp_path):
    """Rule c: what comes later changes no input, no guess and no scale of an earlier row."""
    changed = tmp_path / "changed.csv"
    lines = table.read_text().splitlines()
    at = 40
    changed.write_text("\n".join([*lines[: at + 1], "2020-03-01T00:00,c,1e6,-1e6", *lines[at + 2 :]]) + "\n")
    events = []
    for path in (table, changed):
        task = OnlineRows(SeriesSettings(target="y"))
        events.append([task.take(row) for row in _started(task, path)])
    for before, after in zip(events[0][:at], events[1][:at], strict=True):
        assert torch.equal(before.inputs, after.inputs) and before.guesses == after.guesses
    row, other = events[0][at], events[1][at]
    assert not torch.equal(row.inputs, other.inputs)  # its own columns are known, its number is not
    assert torch.equal(row.inputs[:, -2:], other.inputs[:, -2:]) and row.target[0, 2:].equal(other.target[0, 2:])


def test_the_scale_and_the_guesses_are_those_of_the_formulas(tmp_path):
    path = tmp_path / "short.csv"
    path.write_text("y\n2\n4\n\n3\n")
    path.write_text('{"y": 2}\n{"y": 4}\n{"y": null}\n{"y": 3}\n')
    task = OnlineRows(SeriesSettings())
    events = [task.take(row) for row in _started(task, path)]
    assert events[2].target is None and events[2].guesses == ()
    # The mean so far is 3 and was wrong by 2; so was the number before, and the mean is the first of equals.
    assert events[3].guesses == (0.0, 1.0)
    assert events[3].target.tolist() == [[0.0, 3.0, 3.0, 2.0]]
    assert events[3].inputs.tolist() == [[1.0, 0.0]]  # (4 - 3) / 1


def test_another_series_begins_where_the_id_changes(tmp_path):
    path = tmp_path / "ids.csv"
    path.write_text("who,y\n1,5\n1,7\n2,6\n")
    task = OnlineRows(SeriesSettings(target="y", id="who"))
    events = [task.take(row) for row in _started(task, path)]
    assert [event.reset for event in events] == [False, False, True]
    assert events[2].inputs.tolist() == [[0.0, 1.0]]


def test_a_run_goes_on_as_if_it_had_not_stopped(table, tmp_path):
    settings = _settings(table)
    lines = table.read_text().splitlines(keepends=True)
    start(settings, tmp_path / "whole", False, silent)
    table.write_text("".join(lines[:130]))
    start(settings, tmp_path / "parts", False, silent)
    table.write_text("".join(lines))
    record = resume(settings, tmp_path / "parts", silent)
    weights = [torch.load(tmp_path / name / "last.ckpt", weights_only=True) for name in ("whole", "parts")]
    assert weights[0]["reading"] == weights[1]["reading"]
    for name, value in weights[0]["learner"]["model"].items():
        assert torch.equal(value, weights[1]["learner"]["model"][name]), name
    assert record.data.training_symbols == 300


def test_an_evaluation_has_the_error_in_the_unit_of_the_target(table, tmp_path):
    start(_settings(table), tmp_path / "run", False, silent)
    task, model, _ = load_run(tmp_path / "run")
    data = task.read(str(table))
    metric = evaluate(task, model, data.streams)[0]
    assert metric.name == "absolute error" and 0.01 < metric.value < 0.7 * data.baselines["number before"]
    other = tmp_path / "other.csv"
    other.write_text("y\n3\n")
    with pytest.raises(InputFileError, match="has no column kind"):
        task.read(str(other))


def test_rows_that_come_alone_and_powers_of_two_are_told(table, tmp_path, monkeypatch):
    monkeypatch.setattr("throughtime.data.bytestream._PIECE_BYTES", 20)
    lines = []
    start(_settings(table), tmp_path / "run", False, lines.append)
    assert sum("row    y " in line and "came" in line for line in lines) > 200
    assert [line.split()[0] for line in lines if "error so far" in line] == ["64", "128", "256"]


@pytest.mark.parametrize(
    ("content", "given", "sentence"),
    [
        ("a,b\n1,2\n", SeriesSettings(), "target is missing; the columns of .* are a, b"),
        ("a,y\n1,2\n", SeriesSettings(target="z"), "target is 'z'"),
        ("a,y\n1,2\n", SeriesSettings(ignore="q"), "ignore is 'q'"),
    ],
)
def test_a_role_that_names_no_column_is_refused(tmp_path, content, given, sentence):
    path = tmp_path / "rows.csv"
    path.write_text(content)
    with pytest.raises(ArgumentError, match=sentence):
        OnlineRows(given).open(str(path), False)


def test_a_word_among_numbers_is_refused_with_its_line(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("a,y\n1,2\nx,3\n")
    task = OnlineRows(SeriesSettings())
    with pytest.raises(InputFileError, match="Line 3 of the stream, column 'a': is 'x'"):
        [task.take(row) for row in _started(task, path)]


def test_the_state_of_the_stream_is_plain(table):
    task = OnlineRows(SeriesSettings(target="y"))
    for row in _started(task, table):
        task.take(row)
    other = OnlineRows(SeriesSettings(target="y"))
    other.load_stream_state(json.loads(json.dumps(task.stream_state())))
    assert other.reading == task.reading
