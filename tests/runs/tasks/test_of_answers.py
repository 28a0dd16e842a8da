"""Tables and labelled series, from the file to predictions, by the commands."""

import csv
import json

import numpy as np
import pytest
from mutation.folders import run

from throughtime.records import read_examination, read_record

SMALL = (
    "--hidden-size",
    "8",
    "--learning-rate",
    "0.02",
    "--num-layers",
    "1",
    "--threads",
    "1",
    "--accelerator",
    "cpu",
    "--warm-up",
    "2",
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a table of machines: their class and a number per machine, and a state per row."""
    folder, chance = tmp_path_factory.mktemp("tables"), np.random.default_rng(0)
    with (folder / "machines.csv").open("w", newline="") as handle:
        table = csv.writer(handle)
        table.writerow(["machine", "hour", "heat", "mode", "broken", "load", "state"])
        for machine in range(40):
            bad, load = machine % 3 == 0, round(float(chance.uniform(1, 3)), 2)
            for hour in range(int(chance.integers(6, 14))):
                heat = load + (0.5 * hour if bad else 0) + chance.normal(0, 0.05)
                shown = "" if (machine, hour) == (1, 1) else f"{heat:.3f}"
                mode, state = "high" if load > 2 else "low", "hot" if heat > 2.5 else "cold"
                table.writerow([f"M{machine:02d}", hour, shown, mode, "yes" if bad else "no", load, state])
    return folder


def _trained(place, name, *options):
    folder = place / name
    ended = run(
        "train", place / "machines.csv", "--id", "machine", "--time", "hour", *options, *SMALL, "--output", folder
    )
    assert (ended.code, ended.err) == (0, ""), ended
    return folder, ended.out


@pytest.fixture(scope="module")
def classified(place):
    return _trained(place, "classified", "--target", "broken", "--ignore", "load,state")


def _rows(path):
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


def test_a_class_per_series_is_learned_from_a_table_and_predicted(classified, place):
    folder, told = classified
    assert "Task    classify: Each series has a class." in told and "Columns heat, mode → broken" in told
    assert "1 value missing, in 'heat'" in told and "40 series of" in told
    record = read_record(folder)
    assert record.task == "classify" and record.settings["target"] == "broken" and record.settings["id"] == "machine"
    assert record.results.best_validation_loss < 0.5 * min(record.levels.values())
    ended = run("predict", folder, place / "machines.csv", "-o", place / "out.csv")
    assert (ended.code, ended.err) == (0, ""), ended
    rows = _rows(place / "out.csv")
    assert [row["machine"] for row in rows] == [f"M{i:02d}" for i in range(40)], "ids as they came, in their order"
    right = [row["broken"] == ("yes" if i % 3 == 0 else "no") for i, row in enumerate(rows)]
    assert np.mean(right) > 0.9
    assert all(float(row["p(yes)"]) + float(row["p(no)"]) == pytest.approx(1) for row in rows)
    measured = run("evaluate", folder, place / "machines.csv")
    assert f"accuracy {np.mean(right):.4g}" in measured.out


def test_metrics_of_the_kept_weights_stand_beside_naive_ones(classified):
    folder, told = classified
    examined, record = read_examination(folder), read_record(folder)
    loss, accuracy, *_ = examined.metrics
    assert loss.value == pytest.approx(record.results.best_validation_loss, abs=1e-6)
    assert examined.update == record.results.best_update
    assert sum(map(sum, examined.confusion.counts)) == record.data.held_out_symbols == 4
    assert accuracy.value == np.trace(examined.confusion.counts) / 4 and set(accuracy.baselines) == {
        "majority",
        "nearest",
    }
    majority = sum(examined.confusion.counts[examined.confusion.classes.index("no")]) / 4
    assert accuracy.baselines["majority"] == majority
    assert (
        f"accuracy {accuracy.value:.4g} (majority {majority:.4g}, nearest {accuracy.baselines['nearest']:.4g})" in told
    )
    page = (folder / "report.html").read_text()
    assert "Confusion matrix" in page and "Calibration" in page and "The highest losses" in page
    assert f"<dt>accuracy</dt><dd>{accuracy.value:.4g} (majority" in page


def test_predictions_need_no_target_and_no_order(classified, place):
    folder, _ = classified
    run("predict", folder, place / "machines.csv", "-o", place / "with.csv")
    rows = _rows(place / "machines.csv")
    np.random.default_rng(1).shuffle(rows)
    kept = ["mode", "hour", "heat", "machine", "load", "state"]
    with (place / "without.csv").open("w", newline="") as handle:
        table = csv.DictWriter(handle, kept, extrasaction="ignore")
        table.writeheader()
        table.writerows(rows)
    ended = run("predict", folder, place / "without.csv", "-o", place / "again.jsonl")
    assert ended.code == 0, ended
    again = [json.loads(line) for line in (place / "again.jsonl").read_text().splitlines()]
    with_target = _rows(place / "with.csv")
    assert len(again) == len(with_target) == 40
    for one, other in zip(again, with_target, strict=True):
        assert (one["machine"], one["hour"]) == (other["machine"], int(other["hour"]))
        assert one["broken"] == other["broken"]
        assert one["p(yes)"] == pytest.approx(float(other["p(yes)"]), abs=1e-6)


def test_a_series_is_predicted_alone_as_among_others(classified, place):
    folder, _ = classified
    run("predict", folder, place / "machines.csv", "-o", place / "all.csv")
    rows = [row for row in _rows(place / "machines.csv") if row["machine"] == "M07"]
    with (place / "alone.csv").open("w", newline="") as handle:
        table = csv.DictWriter(handle, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    assert run("predict", folder, place / "alone.csv", "-o", place / "one.csv").code == 0
    (alone,), among = _rows(place / "one.csv"), _rows(place / "all.csv")[7]
    assert alone["machine"] == among["machine"] == "M07"
    assert float(alone["p(yes)"]) == pytest.approx(float(among["p(yes)"]), abs=1e-6)


def test_a_number_per_series_is_learned(place):
    folder, told = _trained(place, "loads", "--target", "load", "--ignore", "broken,state,mode")
    assert "Task    regress: Each series has a number." in told
    record = read_record(folder)
    assert (record.task, record.loss, list(record.levels)) == ("regress", "MSE", ["mean"])
    assert record.results.best_validation_loss < 0.5 * record.levels["mean"]
    measured = run("evaluate", folder, place / "machines.csv").out
    assert "RMSE" in measured and "MAE" in measured and "R²" in measured and "(mean " in measured
    assert len(read_examination(folder).scatter.true) == record.data.held_out_symbols


def test_a_class_at_every_step_is_learned(place):
    folder, told = _trained(place, "states", "--target", "state", "--ignore", "broken,load,mode")
    assert "Task    label: state changes within series." in told
    record = read_record(folder)
    assert record.results.best_validation_loss < 0.5 * min(record.levels.values())
    assert run("predict", folder, place / "machines.csv", "-o", place / "steps.csv").code == 0
    rows = _rows(place / "steps.csv")
    examined = read_examination(folder)
    assert set(examined.metrics[1].baselines) == {"majority", "previous"} and examined.worst.numbers[0] == "step"
    assert examined.errors[0].total == 4 and sum(examined.errors[0].counts) == record.data.held_out_symbols
    assert len(rows) == len(_rows(place / "machines.csv")) and [row["step"] for row in rows[:3]] == ["0", "1", "2"]


def test_a_run_is_resumed_and_goes_on_as_one_that_was_not(place):
    once, _ = _trained(place, "once", "--target", "broken", "--ignore", "load,state", "--epochs", "4")
    twice, _ = _trained(
        place, "twice", "--target", "broken", "--ignore", "load,state", "--epochs", "4", "--patience", "9"
    )
    assert (once / "model.safetensors").read_bytes() == (twice / "model.safetensors").read_bytes()
    ended = run("train", "--resume", twice, "--epochs", "6")
    assert ended.code == 0, ended
    results = read_record(twice).results
    assert results.epochs == 6 and read_examination(twice).update == results.best_update


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "The column machine holds the word M36, which the model never saw.*--id"),
        (("--target", "brokn"), "--target is 'brokn'; the columns of FILE .* did you mean 'broken'"),
        (
            ("--target", "state", "--id", "machine", "--task", "classify"),
            "state changes within series.*take the task label",
        ),
        (("--target", "broken", "--id", "machine", "--task", "regress"), "The target broken holds words"),
        (("--target", "load", "--id", "machine", "--task", "classify"), "The target load holds numbers with decimals"),
        (("--target", "broken", "--format", "ts"), "machines.csv"),
        (("--format", "xls", "--target", "broken"), "--format is .*xls"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(place, options, said):
    ended = run("train", place / "machines.csv", *options, *SMALL, "--output", place / "refused")
    assert ended.code in (1, 2) and ended.err.count("\n") == 1 and not ended.traceback, ended
    pytest.importorskip("re").search(said, ended.err) or pytest.fail(ended.err)
    assert not (place / "refused").exists()


def test_predictions_are_refused_where_they_cannot_be_made(classified, place):
    folder, _ = classified
    for output, said in (("out.xls", "must end in .csv, .jsonl or .parquet"), ("no/out.csv", "does not exist")):
        ended = run("predict", folder, place / "machines.csv", "-o", place / output)
        assert ended.code == 2 and said in ended.err and ended.err.count("\n") == 1, ended
    (place / "few.csv").write_text("machine,hour,mode\nM1,0,low\n")
    ended = run("predict", folder, place / "few.csv", "-o", place / "out.csv")
    assert ended.code == 1 and "The column heat is missing" in ended.err, ended
