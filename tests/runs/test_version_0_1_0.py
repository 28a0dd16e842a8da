"""Runs that version 0.1.0 wrote load, go on as they would have, report and diagnose."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
import yaml
from runs.arithmetic import fingerprint
from runs.running import silent

from throughtime.kernels.native import describe
from throughtime.records import Outcome, read_flows, read_metrics, read_record, read_samples
from throughtime.report import report_of_run
from throughtime.runs.checkpoints import load_run, read_checkpoint
from throughtime.runs.choice import groups, settings_from
from throughtime.runs.config import read_config
from throughtime.runs.engine import resume
from throughtime.runs.evaluation import evaluate
from throughtime.runs.settings import RunSettings
from throughtime.runs.tasks.symbols import SymbolSettings

OLD = Path(__file__).parent / "version_0_1_0"


@pytest.fixture
def old(tmp_path):
    """Copies of the old runs, with the paths of this machine in them."""
    folder = Path(shutil.copytree(OLD, tmp_path / "old"))
    for path in folder.rglob("*"):
        if path.suffix in (".json", ".yaml"):
            path.write_bytes(path.read_bytes().replace(b"/tmp/v010", bytes(folder)))
    return folder


def _tolerance():
    """Bit for bit where the arithmetic is that of the machine on which the runs were made."""
    made = json.loads((OLD / "fingerprint.json").read_text())
    alike = fingerprint() == made and describe().get("instruction_set") == "avx512"
    return {"rtol": 0, "atol": 0} if alike else {"rtol": 1e-5, "atol": 1e-5}


def _rows(metrics):
    return [(row.update, row.epoch, row.learning_rate) for row in metrics]


def _losses(metrics):
    return torch.tensor([[row.train_loss, row.validation_loss, row.gradient_norm] for row in metrics])


def test_a_finished_run_predicts_as_it_did(old):
    task, model, record = load_run(old / "finished")
    assert record.outcome is Outcome.FINISHED and record.task == "" and record.settings == {}
    data = task.read(record.data.file, held_out_of=read_config(old / "finished"))
    assert data.sha256 == record.data.sha256 and data.baselines.uniform == record.baselines.uniform
    for name in ("unigram", "bigram"):  # which were entropies, below the loss of every guess
        assert 0 < getattr(data.baselines, name) - getattr(record.baselines, name) < 0.6, name
    (metric,) = evaluate(task, model, data.streams)
    assert metric.value == pytest.approx(record.results.best_validation_loss, rel=1e-6)


def test_a_finished_run_has_nothing_to_go_on_with(old):
    said = []
    assert resume(read_config(old / "finished"), old / "finished", said.append) is None
    assert said == [f"{old / 'finished'} is complete: 1 epoch, finished; to train on, give `epochs` above 1."]


def test_its_settings_are_read(old):
    settings = read_config(old / "killed")
    assert settings.task == SymbolSettings(embedding_size=3)
    assert (settings.model.cell, settings.optimization.burn_in, settings.data.validation) == ("gru", 3, 0.1)
    online = read_config(old / "stream")
    assert online.task == SymbolSettings("bytes", embedding_size=3) and online.optimization.horizon == 8


def test_defaults_are_those_of_version_0_1_0():
    """A changed default fails here: `settings_from` must then take the old value for old folders (docs/run_folders.md).

    An option that is new may be missing in an old folder; its default must compute what version 0.1.0 computed.
    """
    before = yaml.safe_load((OLD / "defaults.yaml").read_text())
    former = {entry.name: told.former for _, _, entries in groups() for entry, _, told in entries}
    assert {name for name, value in former.items() if value is not None} == {"epochs"}, "0, which is 6 for a text"
    now = RunSettings("x", task=SymbolSettings()).flat()
    kept = {name: value if former.get(name) is None else former[name] for name, value in now.items()}
    assert {name: value for name, value in kept.items() if name in before} == before
    assert settings_from({"file": "x"}).flat() == RunSettings("x", task=SymbolSettings()).flat()


def test_a_run_that_was_killed_in_mid_epoch_goes_on_as_it_would_have(old):
    folder = old / "killed"
    before = read_record(folder)
    assert (before.outcome, before.results.updates) == (Outcome.STARTED, 30) and before.results.epochs % 1
    torch.manual_seed(99)
    record = resume(read_config(folder), folder, silent)
    assert record is not None and record.outcome is Outcome.FINISHED
    state = torch.load(read_checkpoint(folder), weights_only=True)["state_dict"]
    reached = {name.removeprefix("model."): value for name, value in state.items()}
    torch.testing.assert_close(reached, safetensors.torch.load_file(old / "killed_weights.safetensors"), **_tolerance())
    shutil.copy(old / "killed_metrics.csv", old / "metrics.csv")
    expected, found = read_metrics(old), read_metrics(folder)
    assert _rows(found) == _rows(expected)
    torch.testing.assert_close(_losses(found), _losses(expected), **_tolerance())
    if _tolerance()["atol"] == 0:
        assert (folder / "updates.csv").read_bytes() == (old / "killed_updates.csv").read_bytes()


def test_a_stream_that_was_stopped_goes_on_as_it_would_have(old):
    folder = old / "stream"
    torch.manual_seed(99)
    record = resume(read_config(folder), folder, silent)
    assert record is not None and record.outcome is Outcome.FINISHED
    assert record.data.bytes == (old / "text.txt").stat().st_size
    reached = torch.load(read_checkpoint(folder), weights_only=True)["learner"]["model"]
    expected = safetensors.torch.load_file(old / "stream_weights.safetensors")
    torch.testing.assert_close(reached, expected, **_tolerance())
    assert len(read_metrics(folder)) >= 2, "those of before, and at least one"


def test_a_tally_of_version_0_1_0_goes_on(old):
    folder = old / "stream"
    before = torch.load(folder / "last.ckpt", weights_only=True)["whole"]
    resume(read_config(folder), folder, silent)
    after = torch.load(folder / "last.ckpt", weights_only=True)["whole"]
    assert after["events"] == (old / "text.txt").stat().st_size - 1 > before["bytes"]
    assert all(now > then for now, then in zip(after["guesses"][1:], (before["single"], before["pairs"]), strict=True))


def test_other_settings_are_refused(old):
    from throughtime.errors import ArgumentError

    for name in ("killed", "stream"):
        settings = read_config(old / name)
        other = replace(settings, model=replace(settings.model, hidden_size=9))
        with pytest.raises(ArgumentError, match="hidden_size is 9; the run to resume has"):
            resume(other, old / name, silent)


@pytest.mark.parametrize("name", ["finished", "killed", "stream"])
def test_they_are_reported(old, name):
    pytest.importorskip("matplotlib")
    task, _, _ = load_run(old / name)
    written = report_of_run(old / name, figures=task.figures)
    assert written.page.stat().st_size > 10_000
    text = written.page.read_text()
    assert "bigram" in text and all(sample.splitlines()[-1] in text for sample in read_samples(old / name).values())


@pytest.mark.parametrize("name", ["finished", "killed"])
def test_they_are_diagnosed(old, name, capsys):
    pytest.importorskip("matplotlib")
    from throughtime.commands.main import main

    assert main(["diagnose", str(old / name), "--steps", "20", "--rows", "4"]) == 0
    (flow,) = read_flows(old / name)
    assert (flow.steps, flow.rows, flow.update) == (20, 4, read_record(old / name).results.best_update)
    assert "Verdict " in capsys.readouterr().out
