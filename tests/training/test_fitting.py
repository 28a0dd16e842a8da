"""Fitting in Python: of which data, with which options, into which folder."""

import json
import re
from typing import get_type_hints

import numpy as np
import pytest
import torch
from mutation.folders import run as command
from runs.running import at_update, press_ctrl_c
from training.conftest import SMALL, machines

import throughtime as tt
from throughtime.runs.choice import groups
from throughtime.runs.interruption import InterruptedRunError
from throughtime.training import process
from throughtime.training.options import FitOptions


def test_the_options_are_those_of_the_command():
    """A new option of the command is a line of `FitOptions`."""
    known = {entry.name: hint for _, _, entries in groups() for entry, hint, _ in entries}
    assert {name: hint for name, hint in known.items() if name not in ("task", "online")} == get_type_hints(FitOptions)


@pytest.fixture
def arrays():
    """Series of unequal lengths, one of a single step, with a class each."""
    chance = np.random.default_rng(1)
    x = [chance.normal(size=(length, 3)) + number % 2 for number, length in enumerate((5, 1, 7, 3, 6, 2, 4, 9, 3, 8))]
    return x, [("no", "yes")[number % 2] for number in range(len(x))]


def test_arrays_are_fitted_in_every_form_to_the_same_model(arrays, tmp_path):
    x, y = arrays
    longest = max(map(len, x))
    padded = np.stack([np.pad(series, ((0, longest - len(series)), (0, 0))) for series in x])
    lengths = [len(series) for series in x]
    forms = [x, [torch.tensor(s) for s in x], tt.data.read(padded, y, lengths=lengths),
             tt.data.read(torch.tensor(padded).permute(0, 2, 1), y, lengths=lengths, layout="NCT")]  # fmt: skip
    runs = [
        tt.training.fit(form, None if isinstance(form, tt.data.Dataset) else y, folder=tmp_path / str(number), **SMALL)
        for number, form in enumerate(forms)
    ]
    expected = runs[0].predict(x)
    assert [row["label"] for row in expected] and [row["id"] for row in expected] == list(range(10))
    for run, form in zip(runs, forms, strict=True):
        assert run.predict(form) == expected and run.task == "classify"
    assert runs[0].evaluate(x, y) == runs[2].evaluate(tt.data.read(padded, y, lengths=lengths))


def test_labels_at_every_step_are_learned(arrays, tmp_path):
    x, _ = arrays
    y = [series[:, 0] * 2 for series in x]
    run = tt.training.fit(x, y, folder=tmp_path / "run", **SMALL)
    assert run.task == "label" and len(run.predict(x)) == sum(map(len, x))
    assert run.evaluate(x, y)["RMSE"] == pytest.approx(
        np.sqrt(np.mean((np.array([row["y"] for row in run.predict(x)]) - np.concatenate(y)) ** 2))
    )


def test_a_fit_is_quiet_and_leaves_the_process_as_it_was(arrays, tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    torch.set_num_threads(2)
    run = tt.training.fit(*arrays, **SMALL)
    assert torch.equal(torch.rand(3), expected) and torch.get_num_threads() == 2
    assert capfd.readouterr() == ("", "")
    again = tt.training.fit(*arrays, verbose=True, **SMALL)
    assert "Task    classify: Each series has a class." in capfd.readouterr().out
    assert re.fullmatch(r"list-\d{8}-\d{6}(-\d)?", run.folder.name) and run.folder.parent.name == "runs"
    assert again.folder != run.folder and again.predict(arrays[0]) == run.predict(arrays[0])


def test_a_text_is_fitted_and_writes(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("the lazy dog jumps over ünder quick foxes\n" * 20, encoding="utf-8")
    run = tt.training.fit(path, folder=tmp_path / "run", batch_size=2, update_every=9, **SMALL)
    assert run.task == "text" and len(run.sample(30, prompt="the")) == 33
    assert list(run.evaluate(str(path))) == ["cross-entropy"]
    with pytest.raises(tt.UnsupportedError, match="The task text reads files alone"):
        run.evaluate([np.zeros((3, 1))])


def test_a_run_of_memory_goes_on_with_the_same_data_alone(fitted, tmp_path):
    once, frame = fitted
    data = tt.data.read(frame, target="kind", id="machine", time="hour")
    run = tt.training.fit(data, folder=tmp_path / "run", **SMALL)
    more = tt.training.fit(data, resume=run.folder, epochs=3)
    assert more.record.results.epochs == 3 and more.folder == run.folder
    assert more.record.data.file == "<pandas.DataFrame>"
    ended = command("train", "--resume", run.folder, "--epochs", 4)
    assert ended.code == 1 and "stands for data that the run read from memory" in ended.err, ended
    with pytest.raises(tt.RunFolderError, match="SHA-256 has changed"):
        tt.training.fit(frame.assign(heat=1.0), resume=run.folder, epochs=4)
    with pytest.raises(tt.ArgumentError, match="hidden_size is 7; the run to resume has 5"):
        tt.training.fit(data, resume=run.folder, epochs=4, hidden_size=7)


def test_an_interrupted_fit_says_how_to_go_on_from_python(arrays, tmp_path, monkeypatch):
    at_update(monkeypatch, 2, press_ctrl_c)
    call = f"everything is saved; go on with: tt.training.fit(data, resume='{tmp_path / 'run'}')"
    with pytest.raises(InterruptedRunError, match=re.escape(call)):
        tt.training.fit(*arrays, folder=tmp_path / "run", validate_every=1, **SMALL)
    monkeypatch.undo()
    run = tt.training.fit(*arrays, resume=tmp_path / "run")
    whole = tt.training.fit(*arrays, folder=tmp_path / "whole", validate_every=1, **SMALL)
    assert run.predict(arrays[0]) == whole.predict(arrays[0])


def test_a_run_of_a_file_goes_on_by_the_command(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in machines()))
    data = tt.data.read(path, target="kind", id="machine", time="hour")
    run = tt.training.fit(data, folder=tmp_path / "run", **SMALL)
    assert run.record.data.file == str(path)
    ended = command("train", "--resume", run.folder, "--epochs", 3)
    assert ended.code == 0, ended
    assert tt.training.load(run.folder).record.results.epochs == 3


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"hiden_size": 3}, tt.ArgumentTypeError, "hiden_size is no option; .*: did you mean hidden_size?"),
        ({"hidden_size": 0}, tt.ArgumentError, "hidden_size is 0; it must be at least 1"),
        ({"cell": "LSTM"}, tt.ArgumentError, "cell is LSTM; it must be one of lstm, gru, rnn"),
        ({"target": "kid"}, tt.ArgumentError, "target is 'kid'; the columns of .*did you mean 'kind'"),
        ({"task": "tetx"}, tt.ArgumentError, "task is tetx"),
        ({"task": "text", "target": "", "id": ""}, tt.ArgumentError, "task is text; data in memory are series"),
        ({"units": "bytes"}, tt.ArgumentError, "units is bytes; the task classify has no use for it"),
        ({"layout": "NTC"}, tt.ArgumentError, "layout came with a data frame"),
        ({"format": "csv"}, tt.ArgumentError, "format came with data in memory"),
        ({"labels": [1]}, tt.ArgumentError, "labels came with a data frame"),
        ({"resume": "x", "overwrite": True}, tt.ArgumentError, "resume came with `folder` or `overwrite`"),
        ({"resume": "nowhere"}, tt.RunFolderError, "nowhere"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_work(options, kind, said, tmp_path, monkeypatch):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    monkeypatch.chdir(tmp_path)
    frame = pandas.DataFrame(machines())
    with pytest.raises(kind, match=said):
        tt.training.fit(frame, **{"target": "kind", "id": "machine", **options})
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named_and_no_other_module(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    refusal = tt.UnsupportedError
    with monkeypatch.context() as patched:
        patched.setattr(process.importlib, "import_module", missing)
        with pytest.raises(refusal, match=r"needs lightning, which .*throughtime\[train\]"):
            process.with_extra("lightning.pytorch")
        with pytest.raises(ModuleNotFoundError, match="throughtime.runs"):
            process.with_extra("throughtime.runs.nothing")
