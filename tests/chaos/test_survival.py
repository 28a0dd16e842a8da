"""A run survives kill -9 at every write, every signal in every phase, a full disk, and a second process.

After each end it is continued, and its whole folder is that of a run that nothing disturbed, measured times aside.
docs/reliability.md has what is promised; `make chaos` tries longer.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from chaos.folders import names
from chaos.series import Series, disk_full_at, killed_at, same_as_whole, signals_in

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the faults are made by way of /proc")

FILES = {
    "passes": [
        "config.yaml", "record.json", "diagnosis.json", "last.ckpt", "metrics.csv", "updates.csv", "step_norms.csv",
        "model.safetensors", "samples.json", "report.json", "report.html",
    ],
    "online": ["config.yaml", "record.json", "last.ckpt", "model.safetensors", "metrics.csv"],
}  # fmt: skip
"""Every file that a run writes, in the order of the first writes."""

PHASES = {
    "passes": {
        "reading data": "throughtime.runs.drivers.passes:Passes.read",
        "the first diagnosis": "throughtime.runs.callbacks.diagnoses:Diagnoses._look",
        "an update": "throughtime.runs.module:SequenceTraining.training_step",
        "a validation": "throughtime.runs.module:SequenceTraining.validation_step",
        "writing a checkpoint": "throughtime.runs.checkpoints:AsideCheckpointIO.save_checkpoint",
        "the last diagnosis": "throughtime.runs.callbacks.diagnoses:Diagnoses.on_train_end",
        "sampling": "throughtime.runs.whole:_sample",
        "writing the report": "throughtime.report:report_of_run",
    },
    "online": {
        "opening the stream": "throughtime.runs.drivers.streaming:Streaming.read",
        "an event": "throughtime.runs.drivers.streaming:_Online._read",
        "writing a checkpoint": "throughtime.runs.drivers.streaming:_Online.save",
    },
}
"""Every phase of a run, in their order, with the function that it begins in."""

KINDS = list(FILES)
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("stage", ["half", "renamed"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_killed_at_every_kind_of_write_is_the_run_that_was_not(server, whole, tmp_path, kind, stage):
    series = Series(server, tmp_path, kind)
    for name in [*FILES[kind], "record.json"]:  # the last write of all is that of the record
        assert series.leg(killed_at(name, stage)) == -signal.SIGKILL, (name, series.said)
    series.complete()
    assert same_as_whole(series, whole(kind)) == ""


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_killed_at_random_times_is_the_run_that_was_not(server, whole, tmp_path, kind):
    series, chance = Series(server, tmp_path, kind), random.Random(7)
    for _ in range(5):
        pid = series.begin()
        time.sleep(chance.uniform(0.1, 2))
        os.kill(pid, signal.SIGKILL)
        assert series.wait(pid) in (0, -signal.SIGKILL), series.said
    series.complete()
    assert same_as_whole(series, whole(kind)) == ""


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("kind", KINDS)
def test_every_stop_signal_in_every_phase_saves_and_says_how_to_go_on(server, whole, tmp_path, kind, number):
    series = Series(server, tmp_path, kind)
    for phase, call in PHASES[kind].items():
        for signals in ([number], [number, number]):
            begun = names(series.folder)
            assert series.leg(signals_in(call, signals)) == 130, (phase, series.said)
            series.assert_one_sentence()
            resume = f"go on with: throughtime train --resume {series.folder}"
            assert (resume if begun or names(series.folder) else "give the command again") in series.said
    series.complete()
    assert same_as_whole(series, whole(kind)) == ""


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk_at_every_kind_of_write_loses_nothing(server, whole, tmp_path, kind):
    series = Series(server, tmp_path, kind)
    for name in [*FILES[kind], "record.json"]:
        before = names(series.folder)
        assert series.leg(disk_full_at(name)) == 1, (name, series.said)
        series.assert_one_sentence()
        assert f"Writing {series.folder / name} failed (No space left on device)" in series.said
        assert set(before) <= set(names(series.folder))
    series.complete()
    assert same_as_whole(series, whole(kind)) == ""


@pytest.mark.parametrize("kind", KINDS)
def test_a_disk_of_any_size_that_fills_up_loses_nothing(server, whole, tmp_path, kind):
    series = Series(server, tmp_path, kind)
    series.folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", series.folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("needs the right to mount a small disk")
    try:
        ended = 0
        for size in (8, 16, 40, 80, 160, 240, 400, 800):
            subprocess.run(["mount", "-o", f"remount,size={size}k", series.folder], check=True)
            if code := series.leg():
                ended += 1
                assert code == 1
                series.assert_one_sentence()
                assert "No space left on device" in series.said
                assert not any(name.endswith(".partial") for name in names(series.folder))
        assert ended > 3
        subprocess.run(["mount", "-o", "remount,size=8m", series.folder], check=True)
        if not json.loads((series.folder / "record.json").read_text())["closed"]:
            series.complete()
        assert same_as_whole(series, whole(kind)) == ""
    finally:
        subprocess.run(["umount", series.folder], check=True)


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_in_use_is_read_by_others_and_written_by_none(server, whole, tmp_path, kind):
    series, other = Series(server, tmp_path, kind), tmp_path / "other"

    def run(*words):
        code = server.wait(server.start(words, other))
        return code, (tmp_path / "other.err").read_text()

    # Stopped in the midst of it, with a checkpoint and weights, the run is there as long as it is wanted.
    pid = series.begin({"write": "record.json", "number": 4, "stage": "renamed", "do": "SIGSTOP"})
    _until_stopped(pid)
    begin = ["train", series.data, "--output", series.folder, "--overwrite"]
    writers = [["train", "--resume", series.folder], begin, ["diagnose", series.folder, "--data", series.data]]
    for words in [*writers, ["report", series.folder]]:
        code, said = run(*words)
        assert code == 1 and said.startswith(f"throughtime: RUN {series.folder} is in use by process {pid} on "), said
        assert said.count("\n") == 1
    for words in (["sample", series.folder], ["report", series.folder, "--output", tmp_path / "page.html"]):
        assert run(*words) == (0, "")
    os.kill(pid, signal.SIGCONT)
    assert series.wait(pid) == 0
    assert same_as_whole(series, whole(kind)) == ""


def _until_stopped(pid):
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        time.sleep(0.02)


@pytest.mark.parametrize("words", ["--resume", "--overwrite"])
def test_of_two_that_begin_at_once_one_goes_on(server, whole, tmp_path, words):
    series = Series(server, tmp_path, "passes")
    assert series.leg(killed_at("diagnosis.json", "renamed")) == -signal.SIGKILL
    command = series.words()
    if words == "--overwrite":
        (series.folder / "record.json").rename(tmp_path / "record.json")
        command = [*series.words(), "--overwrite"]
        (tmp_path / "record.json").rename(series.folder / "record.json")
    pids = [server.start(command, tmp_path / name) for name in ("first", "second")]
    codes = [server.wait(pid) for pid in pids]
    assert sorted(codes) == [0, 1]
    said = (tmp_path / ("first.err" if codes[0] else "second.err")).read_text()
    assert "is in use by process" in said and said.count("\n") == 1
    assert same_as_whole(series, whole("passes")) == ""


def test_nohup_outlives_the_end_of_its_terminal(server, whole, tmp_path):
    series = Series(server, tmp_path, "passes")
    call = PHASES["passes"]["an update"]
    assert series.leg({"ignore": "SIGHUP"}, signals_in(call, [signal.SIGHUP])) == 0
    assert same_as_whole(series, whole("passes")) == ""
