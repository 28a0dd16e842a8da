import errno
import json
import os
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from throughtime.errors import RunFolderError
from throughtime.records import (
    FORMAT,
    STEP_NORMS,
    Baselines,
    DataRecord,
    MetricsRow,
    ModelRecord,
    Outcome,
    Record,
    Results,
    StepNormRow,
    new_folder,
    read_metrics,
    read_record,
    read_rows,
    run,
    write_aside,
    write_metrics,
    write_record,
    write_table,
)

RECORD = Record(
    data=DataRecord("/a/text.txt", "0f", 19, "characters", "utf-8", 12, 7, "\n é\ud800"),
    model=ModelRecord("gru", "tanh", 5, 3, 0, 0.25, 1234),
    baselines=Baselines(4.5, 3.25, 2.125),
    reproduce="throughtime train --config r/config.yaml",
    versions={"throughtime": "0.1.0"},
    machine={"threads": 3},
)


def test_a_record_comes_back_as_it_was_written(tmp_path):
    record = RECORD.after(Outcome.INTERRUPTED, Results(7, 0.5, 1.75, 6, 1.875, 99.5, 3.25))
    write_record(tmp_path, record)
    assert read_record(tmp_path) == record
    assert os.listdir(tmp_path) == ["record.json"]


def test_metrics_come_back_as_they_were_written(tmp_path):
    rows = [MetricsRow(3, 0.5, 2.5, 2.25, 1e-3, 0.75, 0.125, 1e4, 1.5), MetricsRow(6, 1.0, 2, 1.9, 5e-4, 1, 0, 2e4, 3)]
    write_metrics(tmp_path, rows)
    assert read_metrics(tmp_path) == rows
    assert (tmp_path / "metrics.csv").read_text().splitlines()[0] == (
        "update,epoch,train_loss,validation_loss,learning_rate,gradient_norm,clipped,tokens_per_second,seconds"
    )


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_full_disk_leaves_the_previous_file_and_nothing_else(tmp_path, monkeypatch, failing):
    path = tmp_path / "last.ckpt"
    write_aside(path, b"before")

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, failing, full)
    with pytest.raises(RunFolderError, match="last.ckpt failed.*No space left on device.*previous last.ckpt is kept"):
        write_aside(path, b"after")
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["last.ckpt"]


def test_the_new_content_is_on_disk_before_the_old_file_is_replaced(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_aside(path, b"before")
    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.append(path.read_bytes()), real(handle)))
    write_aside(path, b"after")
    assert synced == [b"before"]
    assert path.read_bytes() == b"after"


def test_a_folder_of_another_format_is_refused_by_name(tmp_path):
    write_record(tmp_path, replace(RECORD, format=FORMAT + 1))
    with pytest.raises(
        RunFolderError, match=rf"has format {FORMAT + 1} and this throughtime reads format {FORMAT}.*0.1"
    ):
        read_record(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"format": 1}', '{"format": 1, "data": {"file": 3}}'])
def test_a_damaged_record_is_named(tmp_path, content):
    (tmp_path / "record.json").write_text(content)
    with pytest.raises(RunFolderError, match="record.json is damaged"):
        read_record(tmp_path)


def test_an_unknown_key_in_the_record_is_damage(tmp_path):
    write_record(tmp_path, RECORD)
    values = json.loads((tmp_path / "record.json").read_text())
    (tmp_path / "record.json").write_text(json.dumps(values | {"surprise": 1}))
    with pytest.raises(RunFolderError, match="damaged"):
        read_record(tmp_path)


@pytest.mark.parametrize("content", ["update,epoch\n1,x\n", "surprise\n1\n"])
def test_damaged_metrics_are_named(tmp_path, content):
    (tmp_path / "metrics.csv").write_text(content)
    with pytest.raises(RunFolderError, match="metrics.csv is damaged"):
        read_metrics(tmp_path)


def test_what_is_not_a_run_is_refused(tmp_path):
    with pytest.raises(RunFolderError, match="is not a folder"):
        read_record(tmp_path / "absent")
    with pytest.raises(RunFolderError, match="has no record.json"):
        read_record(tmp_path)


def test_a_run_in_the_way_is_kept_unless_it_may_be_overwritten(tmp_path):
    write_record(tmp_path, RECORD)
    (tmp_path / "last.ckpt.partial").write_bytes(b"half")
    (tmp_path / "tensorboard").mkdir()
    (tmp_path / "tensorboard" / "events").write_bytes(b"scalars")
    with pytest.raises(RunFolderError, match="already holds a run.*`overwrite`"), new_folder(tmp_path, overwrite=False):
        pass
    assert read_record(tmp_path) == RECORD
    with new_folder(tmp_path, overwrite=True):
        assert os.listdir(tmp_path) == ["run.lock"]
    assert os.listdir(tmp_path) == []


def test_a_run_that_is_removed_only_in_part_is_no_run(tmp_path, monkeypatch):
    write_record(tmp_path, RECORD)
    for name in ("config.yaml", "last.ckpt"):
        (tmp_path / name).touch()
    real = Path.unlink

    def unlink(path, *arguments, **options):
        if path.name == "last.ckpt":
            raise OSError(5, "Input/output error")
        real(path, *arguments, **options)

    monkeypatch.setattr(Path, "unlink", unlink)
    with pytest.raises(RunFolderError, match="cannot be prepared: Input/output error"), new_folder(tmp_path, True):
        pass
    assert not (tmp_path / "record.json").exists()


def test_other_peoples_files_are_never_removed(tmp_path):
    write_record(tmp_path, RECORD)
    (tmp_path / "thesis.tex").write_text("all of it")
    with pytest.raises(RunFolderError, match=r"holds other files \(thesis.tex"), new_folder(tmp_path, overwrite=True):
        pass
    assert sorted(os.listdir(tmp_path)) == ["record.json", "thesis.tex"]


def test_a_folder_is_made_where_there_is_none(tmp_path):
    with new_folder(tmp_path / "a" / "b", overwrite=False):
        assert (tmp_path / "a" / "b").is_dir()


def test_a_run_that_another_process_began_meanwhile_is_kept(tmp_path, monkeypatch):
    def faster(folder):
        write_record(folder, RECORD)
        return nullcontext()

    monkeypatch.setattr(run, "only_writer", faster)
    with pytest.raises(RunFolderError, match="already holds a run"), new_folder(tmp_path / "run", overwrite=False):
        pass
    assert read_record(tmp_path / "run") == RECORD


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "taken").write_text("x")
    with (
        pytest.raises(RunFolderError, match="cannot be used as a folder"),
        new_folder(tmp_path / "taken", overwrite=True),
    ):
        pass


def test_baselines_that_a_task_names_and_its_facts_come_back(tmp_path):
    made = replace(RECORD, baselines={"zero": 3.5}, task="regress", facts={"scale": 2.0}, settings={"seed": 3})
    write_record(tmp_path, made)
    assert read_record(tmp_path) == made and made.levels == {"zero": 3.5}
    assert RECORD.levels == {"uniform": 4.5, "unigram": 3.25, "bigram": 2.125}


def test_a_record_of_before_there_were_tasks_is_read(tmp_path):
    write_record(tmp_path, RECORD)
    values = json.loads((tmp_path / "record.json").read_text())
    for name in ("task", "facts", "settings"):
        del values[name]
    (tmp_path / "record.json").write_text(json.dumps(values))
    assert read_record(tmp_path) == RECORD


def test_a_table_that_was_cut_off_between_two_lines_is_named(tmp_path):
    rows = [StepNormRow(update, "recurrent.l0", step, 0.5) for update in (1, 4) for step in range(3)]
    write_table(tmp_path / STEP_NORMS, StepNormRow, rows)
    write_record(tmp_path, RECORD.after(Outcome.INTERRUPTED, Results(updates=5)))
    record = read_record(tmp_path)
    assert record.lines == {STEP_NORMS: 7}
    assert read_rows(tmp_path, record, STEP_NORMS, StepNormRow) == rows
    assert read_rows(tmp_path, record, "metrics.csv", MetricsRow) == []
    write_table(tmp_path / STEP_NORMS, StepNormRow, rows[:-1])
    with pytest.raises(RunFolderError, match="step_norms.csv is damaged: it has 6 lines, and record.json counts 7"):
        read_rows(tmp_path, record, STEP_NORMS, StepNormRow)


def test_a_table_that_is_ahead_of_a_killed_runs_record_is_read(tmp_path):
    """It may have become shorter: of updates.csv every second line goes when there are too many."""
    write_table(tmp_path / STEP_NORMS, StepNormRow, [StepNormRow(1, "l0", step, 0.5) for step in range(9)])
    write_record(tmp_path, RECORD.after(Outcome.STARTED, Results(updates=1)))
    ahead = [StepNormRow(1, "l0", 0, 0.5), StepNormRow(2, "l0", 0, 0.5)]
    write_table(tmp_path / STEP_NORMS, StepNormRow, ahead)
    assert read_rows(tmp_path, read_record(tmp_path), STEP_NORMS, StepNormRow) == ahead


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"data": {"bytes": "19"}}, "data.bytes is '19'; it must be a whole number"),
        ({"model": {"hidden_size": 0}}, "model.hidden_size is 0; it must be at least 1"),
        ({"results": {"updates": 3, "best_update": 4}}, "results.best_update is 4; it must be at most updates, 3"),
        ({"baselines": {"bigram": None}}, "baselines.bigram is None; it must be a number"),
        ({"outcome": "lost"}, "outcome is 'lost'; it must be one of started, interrupted, finished"),
        ({"settings": {"seed": [1]}}, "settings.seed is [1]; it must be text, true or false, a whole number, a number"),
    ],
)
def test_a_wrong_field_is_named(tmp_path, change, said):
    write_record(tmp_path, RECORD)
    values = json.loads((tmp_path / "record.json").read_text())
    for name, value in change.items():
        values[name] = values[name] | value if isinstance(value, dict) else value
    (tmp_path / "record.json").write_text(json.dumps(values))
    with pytest.raises(RunFolderError) as error:
        read_record(tmp_path)
    assert f"record.json is damaged: {said}" in str(error.value)
