"""What all tasks over series share: what a run holds out, and files that are read together."""

from dataclasses import replace

import numpy as np
import pytest

from throughtime.errors import ArgumentError, InputFileError
from throughtime.runs.settings import DataSettings, OptimizationSettings, RunSettings
from throughtime.runs.tasks import Classify, Label
from throughtime.runs.tasks.series_settings import SeriesSettings


@pytest.fixture
def table(tmp_path):
    """A table of 12 machines, of 3 to 14 hours, with a kind per machine and a state per hour."""
    rows = [f"m{m},{h},{m * h % 7},{'ab'[m % 2]},{'up' if h % 3 else 'down'}" for m in range(12) for h in range(m + 3)]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["who,hour,heat,kind,state", *rows]) + "\n")
    return path


def _settings(path, target, seed=3, validation=0.25, **given):
    told = OptimizationSettings(update_every=5, seed=seed)
    task = SeriesSettings(target=target, id="who", time="hour", **given)
    return RunSettings(str(path), data=DataSettings(validation=validation), optimization=told, task=task)


@pytest.mark.parametrize("split", ["series", "time"])
def test_what_a_run_held_out_is_read_again_by_its_settings(table, split):
    material = Label.prepare(_settings(table, "state", split=split))
    again = material.task.read(str(table), held_out_of=material.settings)
    assert again.names == material.held_out.names and again.baselines == material.held_out.baselines
    chunks = [next(iter(data.streams.chunks(0, _cut()))) for data in (material.held_out, again)]
    assert np.array_equal(chunks[0].targets, chunks[1].targets)
    assert (chunks[0].mask is None) == (chunks[1].mask is None)
    others = [material.task.read(str(table), held_out_of=_settings(table, "state", seed)).names for seed in range(5)]
    assert len(set(map(tuple, others))) > 1, "another seed holds out other series"


def _cut():
    from throughtime.data.streams import Cut

    return Cut(500)


def test_the_split_is_written_down_as_it_was_chosen(table, tmp_path):
    assert Label.prepare(_settings(table, "state")).settings.task.split == "series"
    lines = table.read_text().splitlines(keepends=True)
    single = tmp_path / "single.csv"
    single.write_text("".join([lines[0], *(line for line in lines if line.startswith("m11,"))]))
    material = Label.prepare(_settings(single, "state"))
    assert material.settings.task.split == "time"
    assert any("the last 0.25 of the steps of every series, 4 of 14 steps" in line for line in material.task.told)
    assert material.targets == (10, 4)
    with pytest.raises(ArgumentError, match="the task classify has a single target per series"):
        Classify.prepare(_settings(table, "kind", split="time"))


def test_classes_of_a_table_are_in_both_parts(table):
    for seed in range(4):
        material = Classify.prepare(_settings(table, "kind", seed))
        chunk = next(iter(material.held_out.streams.chunks(0, _cut())))
        assert sorted(chunk.targets[chunk.mask].tolist()) == [0, 0, 1, 1]


def test_files_of_a_folder_are_series_and_are_held_out_whole(table, tmp_path):
    folder = tmp_path / "machines"
    folder.mkdir()
    head, *lines = table.read_text().splitlines(keepends=True)
    for line in lines:
        path = folder / f"{line.split(',')[0]}.csv"
        path.write_text((path.read_text() if path.exists() else head.removeprefix("who,")) + line.split(",", 1)[1])
    settings = _settings(folder, "state", split="file")
    settings = replace(settings, task=replace(settings.task, id=""))
    material = Label.prepare(settings)
    assert material.settings.task.id == "" and len(material.held_out.names) == 3
    assert "file" not in [feature.name for feature in material.task.encoding.features]
    assert any("3 files of 12, 'm" in line for line in material.task.told)
    alone = material.task.asked(str(folder / "m4.csv"))
    assert alone.names == [None], "a file alone is a series"


def _weighted(table, weight_of):
    head, *lines = table.read_text().splitlines()
    path = table.with_name("weighted.csv")
    path.write_text("\n".join([f"{head},weight", *(f"{line},{weight_of(line.split(','))}" for line in lines)]) + "\n")
    return path


def _measured(task, data):
    import torch

    chance = torch.Generator().manual_seed(0)
    chunks = list(data.streams.chunks(0, _cut()))
    pairs = [(torch.randn(*chunk.inputs.shape[:2], task.answers.size, generator=chance), chunk) for chunk in chunks]
    return [metric.value for metric in task.metrics(pairs)], pairs


@pytest.mark.parametrize(("target", "kind"), [("state", "word"), ("heat", "number")])
def test_a_target_of_weight_0_counts_like_a_missing_one(table, target, kind):
    columns = {"state": 4, "heat": 2}
    keep = (lambda row: row[1] in "258") if kind == "word" else (lambda row: int(row[1]) % 2 == 0)
    weighted = _weighted(table, lambda row: 0 if keep(row) else 3)
    task = Label.prepare(_settings(weighted, target, weight="weight")).task
    assert "weight" not in [feature.name for feature in task.encoding.features]
    data = task.read(str(weighted))
    rows = [line.split(",") for line in weighted.read_text().splitlines()]
    at = columns[target]
    path = table.with_name("missing.csv")
    path.write_text(
        "\n".join(
            ",".join(["" if i == at and n and keep(row) else v for i, v in enumerate(row)])
            for n, row in enumerate(rows)
        )
    )
    missing = task.read(str(path))
    assert data.baselines == pytest.approx(missing.baselines, rel=1e-5)
    (with_weight, pairs), (without, _) = _measured(task, data), _measured(task, missing)
    assert with_weight == pytest.approx(without, rel=1e-5)
    counts = [task.count(chunk) for _, chunk in pairs]
    losses = [float(task.loss(outputs, chunk)) for outputs, chunk in pairs]
    assert np.average(losses, weights=counts) == pytest.approx(with_weight[0], rel=1e-5), "chunks add up"


def test_weights_of_any_scale_do_the_same(table):
    first, second = (
        Label.prepare(_settings(_weighted(table, lambda row, c=c: c * (1 + int(row[1]))), "state", weight="weight"))
        for c in (1, 7)
    )
    assert first.held_out.baselines == pytest.approx(second.held_out.baselines, rel=1e-6)
    plain = Label.prepare(_settings(table, "state"))
    assert first.held_out.baselines != pytest.approx(plain.held_out.baselines, rel=1e-3)


def test_a_weight_that_cannot_be_is_refused(table):
    with pytest.raises(InputFileError, match="the weight weight changes within the series 'm0', which has a single"):
        Classify.prepare(_settings(_weighted(table, lambda row: row[1]), "kind", weight="weight"))
    with pytest.raises(InputFileError, match="Every target that counts has the weight 0"):
        Classify.prepare(_settings(_weighted(table, lambda row: 0), "kind", weight="weight"))
    path = table.with_name("a.npy")
    np.save(path, np.zeros((3, 4, 2)))
    with pytest.raises(ArgumentError, match="weight is 'w'; .* is no table: leave it out"):
        Label.prepare(RunSettings(str(path), task=SeriesSettings(target="x", weight="w")))


def test_balanced_classes_weigh_as_much_in_training_and_not_in_validation(table):
    import torch

    material = Label.prepare(_settings(table, "state", class_weight="balanced"))
    task = material.task
    chunks = list(material.training.chunks(0, _cut()))
    gradients = torch.zeros(2)
    for chunk in chunks:
        outputs = torch.zeros(*chunk.inputs.shape[:2], 2, requires_grad=True)
        (task.objective(outputs, chunk) * task.count(chunk)).backward()
        gradients += outputs.grad.sum(dim=(0, 1))
        assert task.loss(outputs, chunk).item() == pytest.approx(np.log(2))
    count = sum(task.count(chunk) for chunk in chunks)
    shares = torch.tensor(task.answers.shares)
    assert abs(float(shares[0] - shares[1])) > 0.2
    assert float(abs(gradients).max()) < 0.01 * count, "equal outputs are best for equal weights"
    with pytest.raises(ArgumentError, match="class_weight is balanced; the target heat is a number"):
        Label.prepare(_settings(table, "heat", class_weight="balanced"))


def test_a_trained_task_reads_another_table_with_its_own_scales(table, tmp_path):
    task = Label.prepare(_settings(table, "state", ignore="kind")).task
    encoding = task.encoding
    head, *lines = table.read_text().splitlines()
    rows = [line.split(",") for line in lines]
    other = tmp_path / "other.csv"
    other.write_text("\n".join(["heat,hour,who,state", *(f"{int(r[2]) + 50},{r[1]},{r[0]},{r[4]}" for r in rows)]))
    material = task.prepare_further(_settings(other, "state", ignore="kind", split="time"))
    assert material.task is task and task.encoding == encoding and material.settings.task.split == "time"
    chunk = next(iter(material.training.chunks(0, _cut())))
    assert float(chunk.inputs.max()) > 20, "far from what the scales were fitted to"
    other.write_text(other.read_text().replace("heat", "cold", 1))
    with pytest.raises(InputFileError, match="The column heat is missing, which the model was trained with"):
        task.prepare_further(_settings(other, "state"))


def test_a_target_alone_is_refused(table):
    with pytest.raises(InputFileError, match="no column beside the target state, so the task label has nothing to"):
        Label.prepare(_settings(table, "state", ignore="heat,kind"))
