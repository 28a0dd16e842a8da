"""Runs in Python predict what the commands predict, of whatever data come in."""

import csv
import re

import numpy as np
import pytest
from mutation.folders import run as command
from training.conftest import SMALL, machines

import throughtime as tt
from throughtime.records import Verdict


def written(path, rows):
    with path.open("w", newline="") as handle:
        table = csv.DictWriter(handle, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return path


def test_a_frame_is_predicted_as_the_command_predicts_a_file(fitted, tmp_path):
    run, frame = fitted
    ended = command("predict", run.folder, written(tmp_path / "a.csv", machines()), "-o", tmp_path / "out.csv")
    assert ended.code == 0, ended
    with (tmp_path / "out.csv").open(newline="") as handle:
        told = list(csv.DictReader(handle))
    rows = run.predict(frame).to_dict("records")
    assert [{name: str(value) for name, value in row.items()} for row in rows] == told
    assert run.predict(tmp_path / "a.csv") == rows


def test_a_series_is_predicted_alone_as_among_others(fitted):
    run, frame = fitted
    among = run.predict(frame)
    key = among.columns[0]
    among = among.set_index(key)
    for machine in (70, 74, 83):
        alone = run.predict(frame[frame["machine"] == machine])
        assert alone[key].tolist() == [machine]
        assert alone["p(bad)"][0] == pytest.approx(among["p(bad)"][machine], abs=1e-6)


def test_the_target_and_the_order_of_rows_and_columns_do_not_matter(fitted):
    run, frame = fitted
    other = frame.sample(frac=1, random_state=1)[["mode", "heat", "hour", "machine"]].reset_index(drop=True)
    assert run.predict(other).equals(run.predict(frame))


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_a_frame_comes_back_in_its_library(fitted, library):
    run, _ = fitted
    module = pytest.importorskip(library, reason=f"{library} is not installed")
    frame = module.Table.from_pylist(machines()) if library == "pyarrow" else module.DataFrame(machines())
    predicted = run.predict(frame)
    assert type(predicted) is type(frame)
    if library == "polars":
        assert run.predict(frame.lazy()).equals(predicted)
    columns = predicted.column_names if library == "pyarrow" else list(predicted.columns)
    assert columns[-4:] == ["step", "kind", "p(bad)", "p(good)"] and len(predicted) == 15


def test_a_run_is_opened_again_whoever_wrote_it(fitted, tmp_path):
    run, frame = fitted
    again = tt.training.load(str(run.folder))
    assert again.predict(frame).equals(run.predict(frame)) and again.record == run.record
    file = written(tmp_path / "a.csv", machines())
    options = [part for name, value in SMALL.items() for part in (f"--{name.replace('_', '-')}", value)]
    roles = ("--target", "kind", "--id", "machine", "--time", "hour")
    assert command("train", file, *roles, *options, "--output", tmp_path / "by-command").code == 0
    other = tt.training.load(tmp_path / "by-command")
    assert other.record.results.best_validation_loss == run.record.results.best_validation_loss
    assert other.predict(frame).equals(run.predict(frame)), "the same data, options and seed make the same model"


def test_the_id_may_have_another_name_than_in_training(fitted):
    run, frame = fitted
    other = tt.data.read(frame.rename(columns={"machine": "unit", "hour": "clock"}), id="unit", time="clock")
    expected = run.predict(frame).to_dict("records")
    assert [list(row.values()) for row in run.predict(other)] == [list(row.values()) for row in expected]


def test_the_metrics_have_names(fitted):
    run, frame = fitted
    metrics = run.evaluate(frame)
    predicted = run.predict(frame)
    truth = frame.groupby("machine")["kind"].first()
    assert list(metrics)[:2] == ["cross-entropy", "accuracy"]
    assert metrics["accuracy"] == pytest.approx(np.mean(predicted["kind"].to_numpy() == truth.to_numpy()))
    assert run.evaluate(tt.data.read(frame, id="machine")) == metrics


def test_diagnoses_pages_and_words(fitted, tmp_path):
    pytest.importorskip("matplotlib", reason="the extra report is not installed")
    run, frame = fitted
    assert isinstance(run.diagnose().verdict, Verdict) and run.diagnose(frame, steps=7, rows=3).record.rows == 3
    assert run.report(tmp_path / "p.html").exists() and not (run.folder / "report.html").exists()
    loss = run.record.results.best_validation_loss
    assert repr(run) == f"<TrainedRun {run.folder}: classify, GRU, 1 × 5; cross-entropy {loss:.4g} nats>"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda run, frame: run.predict(frame[["machine", "mode", "hour"]]), "The column heat is missing"),
        (lambda run, frame: run.predict(frame.drop(columns="machine")), "id is 'machine'; the columns of"),
        (lambda run, frame: run.predict(3), "source is of type int; it must be a path, a data frame, an array"),
        (lambda run, frame: run.predict("nowhere.csv"), "FILE nowhere.csv does not exist"),
        (lambda run, frame: run.evaluate(frame, [1]), "labels came with a data frame"),
        (lambda run, frame: run.evaluate(tt.data.read(frame), [1]), "labels came with a Dataset"),
        (lambda run, frame: run.evaluate(frame.assign(kind="odd")), "the class odd, which the model never saw"),
        (lambda run, frame: run.diagnose(frame, rows=0), "rows is 0"),
        (lambda run, frame: run.sample(), "The task classify draws no samples"),
    ],
)
def test_what_does_not_fit_is_refused(fitted, call, said):
    with pytest.raises(tt.ThroughtimeError, match=re.escape(said)):
        call(*fitted)
