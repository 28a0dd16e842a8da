"""The next step of rolls, numbers and words, from the file to predictions and samples, by the commands."""

import csv
import json
import re
import shutil

import numpy as np
import pytest
from mutation.folders import run
from scipy.special import gammaln

from throughtime.records import read_record
from throughtime.runs.checkpoints import load_run
from throughtime.runs.choice import settings_from
from throughtime.runs.evaluation import predicted

SMALL = (
    *("--hidden-size", "7", "--num-layers", "1", "--learning-rate", "0.03", "--warm-up", "2", "--threads", "1"),
    *("--accelerator", "cpu"),
)


def _rolls(chance, count):
    """Series of 3 keys: the first, the second and none of both take turns, and the third follows chance."""
    rolls = []
    for _ in range(count):
        steps = int(chance.integers(5, 12))
        turns = (np.arange(steps) + chance.integers(3)) % 3
        rolls.append(np.stack([turns == 0, turns == 1, chance.integers(2, size=steps)], axis=1).astype(float))
    return rolls


def _trained(folder, file, *options):
    ended = run("train", file, *options, *SMALL, "--output", folder)
    assert (ended.code, ended.err) == (0, ""), ended
    return ended.out


def _best(record):
    assert record.results.best_validation_loss is not None
    return record.results.best_validation_loss


def _rows(path):
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


@pytest.fixture(scope="module")
def rolls(tmp_path_factory):
    """A folder with rolls.mat in three parts, and the run trained on it without an option on the data."""
    scipy_io = pytest.importorskip("scipy.io")
    folder, chance = tmp_path_factory.mktemp("rolls"), np.random.default_rng(0)
    cells = {}
    for name, count in (("traindata", 30), ("validdata", 7), ("testdata", 5)):
        cells[name] = np.empty((1, count), dtype=object)
        for place, roll in enumerate(_rolls(chance, count)):
            cells[name][0, place] = roll
    scipy_io.savemat(folder / "rolls.mat", cells)
    told = _trained(folder / "run", folder / "rolls.mat", "--epochs", "40")
    return folder, cells, told


def test_rolls_are_learned_from_the_parts_of_the_file(rolls):
    folder, cells, told = rolls
    assert "Task    model: There are no labels and no target" in told
    assert "Columns x0, x1, x2 hold 0 and 1 alone: each is 1 with a chance (bernoulli)." in told
    assert "7 series, as the file declares; its test part, 5 series, is left out." in told
    record = read_record(folder / "run")
    steps = [sum(len(roll) - 1 for roll in cells[name][0]) for name in ("traindata", "validdata")]
    assert [record.data.training_symbols, record.data.held_out_symbols] == steps, "the first step is not predicted"
    assert list(record.levels) == ["marginal", "persistence"]
    assert "Usual   --cell gru, " in told and "--hidden-size" not in told.split("Usual")[1].split("\n")[0]
    assert (record.settings["cell"], record.settings["hidden_size"]) == ("gru", 7), "what was given wins"
    assert told.count("  | ") == 9, "a sample of 8 steps, below the names of the columns"
    # The keys that take turns can be known, and the third cannot.
    assert 0.9 * np.log(2) < _best(record) < 1.3 * np.log(2) < record.levels["persistence"]


def test_the_loss_is_that_of_the_chances_summed_over_keys(rolls):
    folder, cells, _ = rolls
    measured = run("evaluate", folder / "run", folder / "rolls.mat")
    assert "The part test of the file is read, 5 series; 37 of other parts are left out." in measured.out
    assert run("predict", folder / "run", folder / "rolls.mat", "-o", folder / "out.csv").code == 0
    rows, total, right = _rows(folder / "out.csv"), 0.0, np.zeros(3)
    for place, roll in enumerate(cells["testdata"][0]):
        mine = [row for row in rows if row["id"] == f"test/{place}"]
        assert [int(row["step"]) for row in mine] == list(range(len(roll))), "the step after the end is predicted too"
        chances = np.array([[float(row[f"p(x{key})"]) for key in range(3)] for row in mine])[:-1]
        total -= np.log(np.where(roll[1:] == 1, chances, 1 - chances)).sum()
        on, said = roll[1:] == 1, chances > 0.5
        right += [(on & said).sum(), (on != said).sum(), len(on)]
    loss = total / right[2]
    assert f"{loss:.4g} nats" in measured.out, (loss, measured.out)
    assert f"frame accuracy {right[0] / (right[0] + right[1]):.4g}" in measured.out
    assert f"F1 {2 * right[0] / (2 * right[0] + right[1]):.4g}" in measured.out
    other = run("evaluate", folder / "run", folder / "rolls.mat", "--part", "valid")
    assert f"{_best(read_record(folder / 'run')):.4g} nats" in other.out
    refused = run("evaluate", folder / "run", folder / "rolls.mat", "--part", "half")
    assert refused.code == 2 and "has the parts train, valid and test" in refused.err, refused


def test_naive_losses_are_those_of_counted_shares(rolls):
    folder, cells, _ = rolls
    train, valid = ([roll for roll in cells[name][0]] for name in ("traindata", "validdata"))
    values = np.concatenate(train)
    shares = (values.sum(axis=0) + 0.5) / (len(values) + 1)
    pairs = np.concatenate([np.stack([roll[:-1], roll[1:]]) for roll in train], axis=1)
    after = [((pairs[1] * (pairs[0] == was)).sum(axis=0) + 0.5) / ((pairs[0] == was).sum(axis=0) + 1) for was in (0, 1)]
    marginal = persistence = steps = 0.0
    for roll in valid:
        marginal -= np.log(np.where(roll[1:] == 1, shares, 1 - shares)).sum()
        chances = np.where(roll[:-1] == 1, after[1], after[0])
        persistence -= np.log(np.where(roll[1:] == 1, chances, 1 - chances)).sum()
        steps += len(roll) - 1
    levels = read_record(folder / "run").levels
    assert levels["marginal"] == pytest.approx(marginal / steps, rel=1e-5)
    assert levels["persistence"] == pytest.approx(persistence / steps, rel=1e-5)


def test_a_sample_is_a_table_that_can_be_its_prompt(rolls):
    folder, _, _ = rolls
    ended = run("sample", folder / "run", "--length", "6", "--temperature", "0")
    lines = ended.out.split()
    assert ended.code == 0 and lines[0] == "x0,x1,x2" and len(lines) == 7, ended
    turns = [line[:3] for line in lines[1:]]
    assert turns[1:] == [{"1,0": "0,1", "0,1": "0,0", "0,0": "1,0"}[turn] for turn in turns[:-1]]
    more = run("sample", folder / "run", "--length", "2", "--temperature", "0", "--prompt", "\n".join(lines[:4]))
    assert more.out.split()[:6] == lines[:6]
    for prompt, said in (("1,0", "has 2 values in row 1"), ("1,x,0", "has 'x' in row 1; the column x1 holds numbers")):
        refused = run("sample", folder / "run", "--prompt", prompt)
        assert refused.code == 2 and f"--prompt {said}" in refused.err, refused


@pytest.fixture(scope="module")
def walks(tmp_path_factory):
    """A table of walks: a height that keeps its direction, a weather, and missing values."""
    folder, chance = tmp_path_factory.mktemp("walks"), np.random.default_rng(1)
    with (folder / "walks.csv").open("w", newline="") as handle:
        table = csv.writer(handle)
        table.writerow(["walker", "height", "weather"])
        for walker in range(24):
            height, weather = chance.normal(100, 20), "sun"
            for step in range(int(chance.integers(6, 15))):
                height += chance.standard_t(3) * 0.5 + (1 if walker % 2 else -1)
                weather = chance.choice(["sun", "rain", "snow"]) if chance.random() < 0.2 else weather
                table.writerow([f"W{walker}", "" if (walker, step) == (3, 2) else f"{height:.3f}", weather])
    told = _trained(folder / "run", folder / "walks.csv", "--id", "walker", "--epochs", "12", "--cell", "lstm")
    return folder, told


def test_numbers_and_words_of_a_table_are_modelled_together(walks):
    folder, told = walks
    assert "Column weather holds 3 different words, each with a chance (categorical)." in told
    assert "Column height holds numbers, whose distribution is student-t: they have heavy tails" in told
    assert "Of the column height the change from step to step is predicted" in told
    record = read_record(folder / "run")
    assert _best(record) < record.levels["marginal"]
    assert record.settings["cell"] == "lstm", "given, although it is the default of other tasks"
    measured = run("evaluate", folder / "run", folder / "walks.csv")
    for name in ("accuracy of weather", "RMSE of height", "MAE of height"):
        assert name in measured.out
    assert run("sample", folder / "run", "--length", "5").out.split()[0] == "height,weather"


def test_the_density_of_a_number_is_in_its_own_unit(walks):
    folder, _ = walks
    task, model, _ = load_run(folder / "run")
    data = task.read(str(folder / "walks.csv"))
    assert run("predict", folder / "run", folder / "walks.csv", "-o", folder / "out.csv").code == 0
    table, rows = _rows(folder / "walks.csv"), _rows(folder / "out.csv")
    by_id = {name: [row for row in table if row["walker"] == name] for name in {row["walker"] for row in table}}
    total = count = 0
    for row in rows:
        following = by_id[row["walker"]][int(row["step"]) + 1 :][:1]
        if not following:
            continue
        count += 1
        total -= np.log(float(row[f"p(weather={following[0]['weather']})"]))
        if following[0]["height"]:
            freedom, scale = float(row["freedom(height)"]), float(row["scale(height)"])
            apart = (float(following[0]["height"]) - float(row["height"])) / scale
            total += np.log(scale) + (freedom + 1) / 2 * np.log1p(apart**2 / freedom)
            total -= gammaln((freedom + 1) / 2) - gammaln(freedom / 2) - np.log(freedom * np.pi) / 2
    (loss, *_), steps = task.metrics(predicted(model, data.streams)), len(table) - len(by_id)
    assert count == steps and loss.value == pytest.approx(total / steps, rel=1e-4)


def test_a_later_value_changes_no_earlier_prediction(walks):
    folder, _ = walks
    lines = (folder / "walks.csv").read_text().splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("W5,")) + 4
    walker, _, weather = lines[place].split(",")
    lines[place] = f"{walker},999,{weather}"
    (folder / "changed.csv").write_text("\n".join(lines) + "\n")
    for name in ("walks", "changed"):
        assert run("predict", folder / "run", folder / f"{name}.csv", "-o", folder / f"{name}-out.csv").code == 0
    before, after = (_rows(folder / f"{name}-out.csv") for name in ("walks", "changed"))
    changed = [(row["walker"], int(row["step"])) for row, other in zip(before, after, strict=True) if row != other]
    assert changed and changed[0] == ("W5", 4) and {name for name, _ in changed} == {"W5"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--distribution", "bernoulli"), "--distribution is bernoulli; the column height holds other numbers than 0"),
        (("--distribution", "categorical"), "--distribution is categorical; the column height holds numbers with"),
        (("--task", "model", "--target", "hight"), "--target is 'hight'; .*did you mean 'height'"),
        (("--task", "model", "--static", "height", "--ignore", "weather"), "column 'height'"),
        (
            ("--task", "classify", "--target", "weather", "--distribution", "normal"),
            "--distribution is normal; the task",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(walks, options, said):
    folder, _ = walks
    ended = run("train", folder / "walks.csv", "--id", "walker", *options, *SMALL, "--output", folder / "refused")
    assert ended.code in (1, 2) and ended.err.count("\n") == 1 and not ended.traceback, ended
    assert re.search(said, ended.err), ended.err
    assert not (folder / "refused").exists()


def test_defaults_go_by_the_task_and_the_size_and_what_is_given_wins():
    wide, narrow = (settings_from({"file": "x", "task": "model", **given}) for given in ({}, {"hidden_size": 42}))
    assert (wide.model.cell, wide.model.hidden_size, wide.model.dropout) == ("gru", 256, 0.6)
    assert (narrow.model.hidden_size, narrow.model.dropout) == (42, 0.1)
    assert settings_from(wide.flat()) == wide
    given = settings_from({"file": "x", "task": "model", "cell": "lstm", "dropout": 0.0, "learning_rate": 0.005})
    assert (given.model.cell, given.model.dropout, given.optimization.learning_rate) == ("lstm", 0.0, 0.005)


@pytest.mark.parametrize("spoil", [lambda facts: facts.clear(), lambda facts: facts[0]["shares"].pop()])
def test_a_record_whose_distributions_do_not_fit_is_refused(rolls, tmp_path, spoil):
    folder, _, _ = rolls
    shutil.copytree(folder / "run", tmp_path / "run")
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    spoil(record["facts"]["distributions"])
    (tmp_path / "run" / "record.json").write_text(json.dumps(record))
    ended = run("evaluate", tmp_path / "run", folder / "rolls.mat")
    assert ended.code == 1 and "the task model cannot be made from it" in ended.err, ended
