"""The contract of a task, held by one that is nothing like text: a number per series, from series of numbers."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from runs.running import at_update, press_ctrl_c, silent
from torch import nn

from throughtime.commands.main import main
from throughtime.data.streams import Chunk, Streams
from throughtime.errors import ArgumentError, InputFileError, UnsupportedError
from throughtime.records import UPDATES, UpdateRow, read_metrics, read_record, read_table
from throughtime.report import report_of_run
from throughtime.report.exhibit import Section
from throughtime.runs import choice, tasks
from throughtime.runs.checkpoints import load_run
from throughtime.runs.choice import groups, kind_of, settings_from
from throughtime.runs.config import read_config
from throughtime.runs.diagnoses import diagnose_data, diagnose_task
from throughtime.runs.engine import resume, start
from throughtime.runs.evaluation import evaluate, predicted
from throughtime.runs.interruption import InterruptedRunError
from throughtime.runs.options import option
from throughtime.runs.settings import DataSettings, ModelSettings, OptimizationSettings, RunSettings, TaskSettings
from throughtime.runs.tasks.base import Data, FileTask, Material, Metric
from throughtime.runs.tasks.symbols import SymbolSettings

COLUMNS = 2


@dataclass(frozen=True)
class RegressSettings(TaskSettings):
    """How the sums are scaled."""

    scaled: bool = option(True, "Divide the targets by their spread.")


class Regress(FileTask):
    """The sum of a series, read out at its last step; series of 3 to 6 steps lie end to end in rows."""

    name = "level"
    settings = RegressSettings
    loss_name, loss_unit = "MSE", ""

    def __init__(self, scale):
        self.scale = scale

    @property
    def unit(self):
        return "series"

    @classmethod
    def fit(cls, settings):
        given = settings.task if isinstance(settings.task, RegressSettings) else RegressSettings()
        targets = [series.sum() for series in _series(settings.file)]
        return cls(float(np.std(targets)) if given.scaled else 1.0)

    @classmethod
    def from_record(cls, record):
        return cls(record.facts["scale"])

    def recorded(self, record):
        return replace(super().recorded(record), facts={"scale": self.scale})

    @classmethod
    def prepare(cls, settings):
        task, series = cls.fit(settings), _series(settings.file)
        held_out = round(len(series) * settings.data.validation)
        training = task._laid(series[:-held_out], settings.optimization.batch_size)
        targets = (len(series) - held_out, held_out)
        return Material(task, settings, training, task._data(settings.file, series[-held_out:]), targets)

    def read(self, file, *, skip_unknown=False, held_out_of=None):
        series = _series(file)
        return self._data(
            file, series if held_out_of is None else series[-round(len(series) * held_out_of.data.validation) :]
        )

    def _data(self, file, series):
        sums = np.array([one.sum() for one in series]) / self.scale
        streams = self._laid(series, 1)
        baselines = {"zero": float((sums**2).mean()), "mean": float(sums.var())}
        baselines = {"zero": float((sums**2).mean()), "mean": float(sums.var())}
        return Data(file, "5e" * 32, 0, streams, lambda steps, rows: self._window(streams, steps, rows), baselines)

    def _laid(self, series, rows):
        lengths = [sum(map(len, series[row::rows])) for row in range(rows)]
        steps = max(lengths)
        inputs, targets = torch.zeros(steps, rows, COLUMNS), torch.zeros(steps, rows)
        mask, resets = (torch.zeros(steps, rows, dtype=torch.bool) for _ in range(2))
        for row in range(rows):
            at = 0
            for one in series[row::rows]:
                inputs[at : at + len(one), row] = torch.tensor(one, dtype=torch.float32)
                resets[at, row] = True
                at += len(one)
                targets[at - 1, row], mask[at - 1, row] = float(one.sum()) / self.scale, True
        return Streams(inputs, targets, mask, resets)

    def _window(self, streams, steps, rows):
        steps = min(steps, len(streams.inputs))
        first = streams.chunk(0, steps)
        parts = (part.repeat(1, rows, *[1] * (part.dim() - 2)) for part in (*first[:3], first.resets))
        return Chunk(**dict(zip(("inputs", "targets", "mask", "resets"), parts, strict=True)), first=True)

    def input_size(self, model):
        return COLUMNS

    def readout(self, model):
        return nn.Linear(model.hidden_size, 1)

    def loss(self, outputs, chunk):
        errors = (outputs.squeeze(-1) - chunk.targets).square()
        return errors.sum() * 0 if not bool(chunk.mask.any()) else errors[chunk.mask].mean()

    def count(self, chunk):
        return 0 if chunk.mask is None else super().count(chunk)

    def metrics(self, predicted):
        pairs = [(outputs.squeeze(-1)[chunk.mask], chunk.targets[chunk.mask]) for outputs, chunk in predicted]
        errors = torch.cat([first - second for first, second in pairs])
        return [
            Metric("MSE", errors.square().mean().item()),
            Metric("MAE", errors.abs().mean().item() * self.scale, "m"),
        ]

    def rows(self, outputs, chunk) -> Iterator[dict]:
        for step, row in chunk.mask.nonzero().tolist():
            yield {"predicted": outputs[step, row, 0].item() * self.scale, "target": chunk.targets[step, row].item()}

    def figures(self, run):
        return [Section("scale", "The scale of the targets", [f"It was {run.record.facts['scale']:.3f}."])]


def _series(file):
    """Series of numbers, made from the number that stands for a file."""
    chance = np.random.default_rng(int(file))
    return [chance.normal(size=(int(chance.integers(3, 7)), COLUMNS)) for _ in range(24)]


@pytest.fixture
def settings():
    return RunSettings(
        "7",
        model=ModelSettings(cell="gru", hidden_size=5, num_layers=1),
        optimization=OptimizationSettings(
            batch_size=2, update_every=20, epochs=1, validate_every=1, warm_up=0, accelerator="cpu", threads=1
        ),
    )


def _untouched(settings, folder, **options):
    return start(settings, folder, False, silent, kind=Regress, **options)


def test_another_task_trains_through_the_same_engine_and_predicts_from_its_folder(settings, tmp_path):
    said = []
    record = start(settings, tmp_path / "run", False, said.append, kind=Regress)
    assert 2 <= record.results.updates == len(read_metrics(tmp_path / "run")) < 5
    assert record == read_record(tmp_path / "run")
    assert (record.task, record.data.units, list(record.levels)) == ("level", "series", ["zero", "mean"])
    assert (record.loss, record.loss_unit) == ("MSE", "")
    assert read_config(tmp_path / "run", Regress).task == RegressSettings()
    assert "mean 1." in "".join(said) or "mean 0." in "".join(said)
    task, model, _ = load_run(tmp_path / "run", Regress)
    material = Regress.prepare(settings)
    assert task.scale == material.task.scale != 1
    mse, mae = evaluate(task, model, material.held_out.streams)
    assert mse.value == pytest.approx(record.results.best_validation_loss, rel=1e-5)
    assert (mse.name, mae.name, mae.unit) == ("MSE", "MAE", "m")
    rows = [row for outputs, chunk in predicted(model, material.held_out.streams) for row in task.rows(outputs, chunk)]
    assert len(rows) == material.targets[1] == 2
    assert task.result_lines([mse, mae], record.levels)[-1].strip() == f"MAE {mae.value:.4g} m"


def test_a_series_is_predicted_as_if_it_were_alone(settings, tmp_path):
    _untouched(settings, tmp_path / "run")
    task, model, _ = load_run(tmp_path / "run", Regress)
    series = _series("9")
    for one, row in zip(series, _rows(task, model, series), strict=True):
        assert row == pytest.approx(_rows(task, model, [one])[0], rel=1e-5, abs=1e-6)


class Tripled(Regress):
    """Trains on three times its loss."""

    def objective(self, outputs, chunk):
        return 3 * self.loss(outputs, chunk)


def test_training_minimises_the_objective_and_validations_report_the_loss(settings, tmp_path):
    _untouched(settings, tmp_path / "plain")
    record = start(settings, tmp_path / "tripled", False, silent, kind=Tripled)
    plain, tripled = (read_table(tmp_path / name, UPDATES, UpdateRow) for name in ("plain", "tripled"))
    assert tripled[0].loss == pytest.approx(3 * plain[0].loss, rel=1e-5) and plain[0].loss > 0
    task, model, _ = load_run(tmp_path / "tripled", Tripled)
    streams = Tripled.prepare(settings).held_out.streams
    assert record.results.best_validation_loss == pytest.approx(evaluate(task, model, streams)[0].value, rel=1e-5)
    chunk = task._window(streams, 5, 2)
    flows = [diagnose_task(Tripled(task.scale), model, chunk, 3), diagnose_task(Regress(task.scale), model, chunk, 3)]
    assert flows[0].loss == pytest.approx(3 * flows[1].loss, rel=1e-5) and flows[1].loss > 0


def _rows(task, model, series):
    return [
        list(row.values())
        for outputs, chunk in predicted(model, task._laid(series, 1))
        for row in task.rows(outputs, chunk)
    ]


@pytest.mark.parametrize("horizon", [0, 9])
def test_another_task_goes_on_where_it_was_stopped(settings, tmp_path, monkeypatch, horizon):
    if horizon:
        cut = replace(settings.optimization, gradient="truncated", horizon=horizon)
        settings = replace(settings, optimization=cut)
    _untouched(settings, tmp_path / "whole")
    with monkeypatch.context() as patch:
        at_update(patch, 1, press_ctrl_c)
        with pytest.raises(InterruptedRunError):
            _untouched(settings, tmp_path / "parts")
    torch.manual_seed(99)
    assert resume(settings, tmp_path / "parts", silent, kind=Regress) is not None
    whole, parts = (torch.load(tmp_path / name / "last.ckpt", weights_only=True) for name in ("whole", "parts"))
    torch.testing.assert_close(whole["state_dict"], parts["state_dict"], rtol=0, atol=0)
    edited = replace(settings, task=RegressSettings(scaled=False))
    with pytest.raises(ArgumentError, match="scaled is False; the run to resume has True"):
        resume(edited, tmp_path / "parts", silent, kind=Regress)


def test_its_gradient_is_diagnosed_and_its_figures_stand_in_the_report(settings, tmp_path):
    pytest.importorskip("matplotlib")
    folder = tmp_path / "run"
    _untouched(settings, folder, diagnose=lambda task, model, data: diagnose_data(task, model, data, 5))
    task, _, _ = load_run(folder, Regress)
    written = report_of_run(folder, figures=task.figures)
    page = written.page.read_text()
    assert "The scale of the targets" in page and f"It was {task.scale:.3f}." in page and "baseline" in written.verdict
    assert "Losses: MSE" in page and "series/s" in page and "symbols/s" not in page
    assert json.loads(written.numbers.read_text())["record"]["facts"] == {"scale": task.scale}


@dataclass(frozen=True)
class ForkedSettings(SymbolSettings):
    """Settings of a task that reads symbols too."""

    forks: int = option(1, "How many.")


def test_settings_that_derive_from_another_tasks_list_only_what_they_add(monkeypatch, capsys):
    forked = type("Forked", (Regress,), {"name": "forked", "settings": ForkedSettings})
    monkeypatch.setattr(tasks, "Forked", forked, raising=False)
    names = {title: [entry.name for entry, _, _ in entries] for title, _, entries in groups()}
    assert names["task forked"] == ["forks"] and "units" in names["task stream, text"]
    assert main(["train", "--help"]) == 0
    assert "--forks" in capsys.readouterr().out
    settings = settings_from({"file": "7", "task": "forked", "forks": 2, "units": "bytes"})
    assert settings.task == ForkedSettings(units="bytes", forks=2)


def test_data_without_a_target_have_nothing_to_measure():
    with pytest.raises(InputFileError, match="The data hold no target, so the task level has nothing to measure"):
        FileTask.metrics(Regress(1.0), [])


@pytest.fixture
def exported(monkeypatch):
    """One export line."""
    monkeypatch.setattr(tasks, "Regress", Regress, raising=False)


def test_an_export_makes_its_settings_options_and_its_name_a_choice(exported):
    settings = settings_from({"file": "7", "task": "level", "scaled": False})
    assert settings.task == RegressSettings(scaled=False) and kind_of(settings) is Regress
    assert ("task level", RegressSettings) in [(title, kind) for title, kind, _ in groups()]
    assert settings_from({"file": "7"}).task == SymbolSettings()
    with pytest.raises(ArgumentError, match="scaled is False; the task text has no use for it"):
        settings_from({"file": "7", "scaled": False})
    with pytest.raises(ArgumentError, match="embedding_size is 3; the task level has no use for it"):
        settings_from({"file": "7", "task": "level", "embedding_size": 3})
    with pytest.raises(ArgumentError, match="task is level; a run that learns online has the task rows or stream"):
        settings_from({"file": "7", "task": "level", "online": True})


def test_without_a_name_the_usual_task_is_meant_wherever_the_others_are_exported(monkeypatch):
    monkeypatch.setattr(choice, "kinds", lambda: [Regress, tasks.Stream, tasks.Text])
    assert kind_of(RunSettings("7")) is tasks.Text
    assert kind_of(RunSettings("7", task=RegressSettings())) is Regress
    assert kind_of(RunSettings("7", optimization=OptimizationSettings(online=True))) is tasks.Stream


def test_the_commands_serve_it_from_its_export_alone(exported, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    folder = str(tmp_path / "run")
    small = "--hidden-size 5 --num-layers 1 --batch-size 2 --update-every 20 --epochs 1 --accelerator cpu".split()
    assert main(["train", "7", "--task", "level", "--no-scaled", "--output", folder, *small, "--threads", "1"]) == 0
    out = capsys.readouterr().out
    assert "Result" in out and "A sample" not in out and "the baseline" in out
    assert f"throughtime evaluate {folder}" in out and "throughtime sample" not in out
    assert main(["evaluate", folder, "7"]) == 0 and "MAE" in capsys.readouterr().out
    assert main(["diagnose", folder, "--steps", "9", "--rows", "2"]) == 0
    assert main(["report", folder]) == 0
    assert "The scale of the targets" in (tmp_path / "run" / "report.html").read_text()
    assert main(["sample", folder]) == 1 and "draws no samples" in capsys.readouterr().err
    assert main(["train", "--resume", folder, "--epochs", "2"]) == 0
    assert read_record(tmp_path / "run").results.epochs == 2


def test_a_run_whose_settings_name_no_task_is_diagnosed_with_that_of_its_record(settings, exported, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    start(replace(settings, task=RegressSettings(scaled=False)), tmp_path / "run", False, silent, kind=Regress)
    assert "task: ''" in (tmp_path / "run" / "config.yaml").read_text()
    assert main(["diagnose", str(tmp_path / "run"), "--steps", "9", "--rows", "2"]) == 0, capsys.readouterr().err


def test_a_task_and_settings_that_do_not_fit_are_refused(settings, exported, tmp_path):
    told = replace(settings.optimization, online=True, epochs=6, validate_every=0, warm_up=50, batch_size=0)
    online = replace(settings, optimization=replace(told, accelerator="auto"))
    with pytest.raises(ArgumentError, match="online is True; the task level learns in passes over a file"):
        start(online, tmp_path / "run", False, silent, kind=Regress)
    named = replace(settings, data=DataSettings(task="level"), task=SymbolSettings())
    with pytest.raises(ArgumentError, match="task has settings of the class SymbolSettings; no task that learns"):
        start(named, tmp_path / "run", False, silent)
    assert not (tmp_path / "run").exists()


def test_what_a_task_does_not_do_is_refused_by_name():
    with pytest.raises(UnsupportedError, match="The task level draws no samples"):
        Regress(1.0).samples(nn.Identity(), "", 1, 1.0, torch.Generator())
