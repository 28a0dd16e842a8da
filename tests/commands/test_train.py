import errno
import json
import os
import re
import resource
import signal
import time
from pathlib import Path

import pytest
import torch
from commands.processes import SMALL, process
from safetensors.torch import load_file

from throughtime.records import read_metrics, read_record


def _wait_for(path, running):
    while not path.exists():
        assert running.poll() is None, running.communicate()
        time.sleep(0.02)


def test_the_output_says_what_was_read_what_guessing_costs_and_what_was_learned(command, text_file, tmp_path):
    folder = tmp_path / "run"
    code, out, err = command("train", text_file, "--output", folder, *SMALL, "--epochs", 3, "--learning-rate", 0.03)
    assert (code, err) == (0, "")
    record = read_record(folder)
    lines = out.splitlines()
    size = f"{text_file.stat().st_size:,} bytes"
    assert lines.pop(0) == f"Text    {text_file}: {size}, read as text, character by character"
    assert lines[0].startswith("        vocabulary of ")
    assert lines[0].endswith("characters; 2,160 to train on, 240 held out for validation")
    assert f"{record.baselines.unigram:.3f} nats" in lines[1] and "unigram" in lines[1]
    assert f"{record.baselines.bigram:.3f} nats" in lines[2] and "bigram" in lines[2]
    assert lines[3] == f"Model   LSTM, 1 layer of 7, {record.model.parameters:,} parameters"
    assert lines[4] == f"Run     {folder}: 3 epochs of 144 updates, each over 5 steps of 3 streams"
    validations = [line for line in lines if line.startswith("epoch")]
    for row, line in zip(read_metrics(folder), validations, strict=True):
        assert f"validation {row.validation_loss:.3f} nats" in line
    assert f"Result  {record.results.best_validation_loss:.3f} nats" in out
    assert "so it uses what came before" in out or "no better than the best guess" in out
    for way_on in (f"throughtime sample {folder}", f"throughtime evaluate {folder} FILE", f"train --resume {folder}"):
        assert way_on in out
    assert max(map(len, lines)) <= 120 + len(str(folder))


def test_the_text_that_ships_with_python_needs_no_file(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = command("train", "pydoc", "--output", "run", *SMALL, "--batch-size", 50, "--max-minutes", 1e-9)
    assert (code, err) == (0, "")
    assert out.startswith("Text    pydoc: ")
    assert read_record(Path("run")).data.file == "pydoc"


def test_without_output_the_run_is_named_after_file_and_time(command, text_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command("train", text_file, *SMALL)[0] == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("text-20") and (folder / "model.safetensors").exists()


def test_a_config_is_taken_back_and_options_win_wherever_they_stand(command, text_file, trained, tmp_path):
    config = trained / "config.yaml"
    assert command("train", "--config", config, "--output", tmp_path / "same")[0] == 0
    assert (tmp_path / "same" / "config.yaml").read_text() == config.read_text()
    weights = [
        torch.load(folder / "last.ckpt", weights_only=True)["state_dict"] for folder in (trained, tmp_path / "same")
    ]
    torch.testing.assert_close(weights[0], weights[1], rtol=0, atol=0)
    assert command("train", "--hidden-size", 4, "--output", tmp_path / "other", "--config", config)[0] == 0
    assert read_record(tmp_path / "other").model.hidden_size == 4
    other = tmp_path / "other.txt"
    other.write_text(text_file.read_text().upper())
    assert command("train", other, "--config", config, "--output", tmp_path / "third")[0] == 0
    assert read_record(tmp_path / "third").data.file == str(other)


def test_a_misspelt_key_in_a_config_is_refused_by_name(refused, trained, tmp_path):
    config = tmp_path / "mine.yaml"
    config.write_text((trained / "config.yaml").read_text().replace("hidden_size", "hiden_size"))
    assert "'hiden_size'" in refused("train", "--config", config, code=2)


@pytest.mark.parametrize(
    ("content", "options", "code", "said"),
    [
        (None, (), 1, "does not exist"),
        (b"", (), 1, "is empty"),
        (b"abc", (), 1, "The text is too short: of its 3 symbols"),
        (b"abcabcabc" * 5, (), 2, "--update-every is 50; it is longer than the training part, which has 41 steps"),
        (b"abcabcabc" * 50, ("--batch-size", 9), 2, "--batch-size is 9; 405 steps .* give at most 8"),
        (b"\x7fELF\0\0\0\1" * 99, (), 1, "NUL characters.*--units bytes"),
        (b"caf\xe9 " * 99, (), 1, "is not text in utf-8 at byte 3.*--units bytes"),
    ],
)
def test_a_file_that_cannot_be_trained_on_is_refused(refused, tmp_path, content, options, code, said):
    path = tmp_path / "bad.txt"
    if content is not None:
        path.write_bytes(content)
    sentence = refused("train", path, "--output", tmp_path / "run", *options, code=code)
    assert re.search(said, sentence), sentence
    assert not (tmp_path / "run").exists()


def test_a_folder_is_no_text(refused, tmp_path):
    assert "is a folder" in refused("train", tmp_path)


def test_what_is_no_text_trains_as_bytes(command, tmp_path):
    path = tmp_path / "binary"
    path.write_bytes(bytes(range(256)) * 9)
    assert command("train", path, "--units", "bytes", "--output", tmp_path / "run", *SMALL)[0] == 0
    assert len(read_record(tmp_path / "run").data.vocabulary) == 256


def test_a_run_in_the_way_is_kept_unless_overwrite_is_given(command, refused, text_file, trained):
    before = (trained / "model.safetensors").read_bytes()
    assert "already holds a run" in refused("train", text_file, "--output", trained, *SMALL, "--seed", 5)
    assert (trained / "model.safetensors").read_bytes() == before
    assert command("train", "--overwrite", text_file, "--output", trained, *SMALL, "--seed", 5)[0] == 0
    assert (trained / "model.safetensors").read_bytes() != before


def test_a_finished_run_says_so(command, trained):
    code, out, err = command("train", "--resume", trained)
    assert (code, err) == (0, "")
    assert out == f"{trained} is complete: 1 epoch, finished; to train on, give --epochs above 1.\n"
    code, out, err = command("train", "--resume", trained, "--epochs", 2)
    assert (code, err) == (0, "")
    assert read_record(trained).results.epochs == 2


def test_resume_keeps_to_the_runs_own_settings_and_folder(refused, trained, tmp_path):
    assert "--hidden-size is 9; the run to resume has 7" in refused(
        "train", "--resume", trained, "--hidden-size", 9, code=2
    )
    said = refused("train", "--resume", trained, "--output", tmp_path, code=2)
    assert said == "--resume came with --output or --overwrite; a run continues in its folder: leave both out."
    assert "is not a folder" in refused("train", "--resume", tmp_path / "absent")


def test_a_run_of_another_version_is_refused_by_name(refused, trained):
    path = trained / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    for words in (("train", "--resume", trained), ("sample", trained), ("evaluate", trained, "pydoc")):
        assert "has format 99 and this throughtime reads format 1" in refused(*words)


def test_a_full_disk_in_mid_run_loses_nothing(command, refused, text_file, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    real, written = os.fsync, []

    def filling_up(handle):
        written.append(handle)
        if len(written) > 8:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    # Two files at the start and four at each validation: the disk is full in the second validation.
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", filling_up)
        sentence = refused("train", text_file, "--output", folder, *SMALL, "--validate-every", 40)
    assert "No space left on device" in sentence and f"--resume {folder}" in sentence
    assert not list(folder.glob("*.partial"))
    assert command("sample", folder, "--length", 5)[0] == 0
    code, _, err = command("train", "--resume", folder)
    assert (code, err) == (0, "")
    assert [row.update for row in read_metrics(folder)] == [40, 80, 120, 144]


def test_a_limit_on_the_size_of_files_is_a_full_disk_too(text_file, tmp_path):
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (900_000, 900_000))  # the diagnosis has less, the weights more

    folder = tmp_path / "run"
    words = ("train", text_file, "--output", folder, *SMALL, "--hidden-size", 200)
    with process(*words, preexec_fn=limit) as running:
        _, err = running.communicate()
    assert running.returncode == 1
    assert err.count("\n") == 1 and re.search(r"(last.ckpt|model.safetensors) failed \(File too", err), err
    assert not list(folder.glob("*.partial"))
    assert read_record(folder).results.updates == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_saves_and_resume_goes_on(command, text_file, tmp_path, number):
    folder = tmp_path / "run"
    words = ("train", text_file, "--output", folder, *SMALL, "--epochs", 500, "--validate-every", 100)
    with process(*words) as running:
        _wait_for(folder / "last.ckpt", running)
        running.send_signal(number)
        _, err = running.communicate()
    assert running.returncode == 130
    assert err.count("\n") == 1 and f"go on with: throughtime train --resume {folder}" in err, err
    done = read_record(folder).results.updates
    assert done >= 1
    code, _, err = command("train", "--resume", folder, "--max-minutes", 1e-9)
    assert (code, err) == (0, "")
    assert read_record(folder).results.updates == done + 1


def test_a_killed_run_goes_on_from_its_last_validation(command, text_file, tmp_path):
    folder = tmp_path / "run"
    words = ("train", text_file, "--output", folder, *SMALL, "--epochs", 500, "--validate-every", 10)
    with process(*words) as running:
        _wait_for(folder / "metrics.csv", running)
        time.sleep(0.3)
        running.kill()
        running.communicate()
    assert running.returncode == -signal.SIGKILL
    assert command("sample", folder, "--length", 5)[0] == 0
    code, _, err = command("train", "--resume", folder, "--max-minutes", 1e-9)
    assert (code, err) == (0, "")
    updates = [row.update for row in read_metrics(folder)]
    assert updates[:-1] == list(range(10, updates[-1], 10))


def test_a_run_killed_before_its_first_checkpoint_begins_anew(command, refused, text_file, tmp_path):
    folder = tmp_path / "run"
    words = ("train", text_file, "--output", folder, *SMALL, "--validate-every", 90000)
    with process(*words) as running:
        _wait_for(folder / "record.json", running)
        running.kill()
        running.communicate(timeout=60)
    assert "stopped before the first validation" in refused("sample", folder)
    (folder / "last.ckpt").unlink(missing_ok=True)  # where the machine stood still for seconds
    assert command("train", "--resume", folder)[0] == 0
    assert command("train", text_file, "--output", tmp_path / "whole", *SMALL, "--validate-every", 90000)[0] == 0
    weights = [(run / "model.safetensors").read_bytes() for run in (folder, tmp_path / "whole")]
    assert weights[0] == weights[1]


def test_a_run_killed_before_its_first_validation_goes_on_from_a_checkpoint_by_time(command, text_file, tmp_path):
    folder = tmp_path / "run"
    words = ("--epochs", 500, "--validate-every", 90000, "--save-minutes", 1e-4)
    with process("train", text_file, "--output", folder, *SMALL, *words) as running:
        _wait_for(folder / "updates.csv", running)
        running.kill()
        running.communicate(timeout=60)
    state = torch.load(folder / "last.ckpt", weights_only=True)["throughtime"]["progress"]
    assert state["updates"] > 0 and state["rows"] == []
    code, _, err = command("train", "--resume", folder, "--max-minutes", 1e-9)
    assert (code, err) == (0, "")
    assert [row.update for row in read_metrics(folder)] == [state["updates"] + 1]


def test_what_followed_the_training_is_made_up_for_where_it_was_cut_short(command, trained, capsys):
    kept = {name: (trained / name).read_bytes() for name in ("report.json", "samples.json")}
    for name in kept:
        (trained / name).unlink()
    path = trained / "record.json"
    path.write_text(path.read_text().replace('"closed": true', '"closed": false'))
    code, out, err = command("train", "--resume", trained)
    assert (code, err) == (0, "") and "A sample" in out and "The run is in" in out
    assert {name: (trained / name).read_bytes() for name in kept} == kept
    assert "is complete" in command("train", "--resume", trained)[1]


def test_burn_in_and_random_lengths_are_recorded_and_leave_the_updates_as_many(command, text_file, tmp_path):
    folder = tmp_path / "run"
    code, out, err = command("train", text_file, "--output", folder, *SMALL, "--burn-in", 9, "--chunk-jitter")
    assert (code, err) == (0, "")
    assert "1 epoch of 142 updates, each over about 5 steps of 3 streams" in out and "of 1 epoch in" in out
    config = (folder / "config.yaml").read_text()
    assert "burn_in: 9\n" in config and "chunk_jitter: true\n" in config and "gradient: bptt\n" in config
    assert read_record(folder).machine["gradient"].startswith("BPTT(")
    words = ("--config", folder / "config.yaml", "--no-chunk-jitter", "--output", tmp_path / "other")
    code, out, err = command("train", *words)
    assert (code, err) == (0, "") and "each over 5 steps of 3 streams" in out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--gradient", "rtrrl"), "--gradient is rtrrl; it must be one of bptt, truncated"),
        (("--horizon", 5), "--horizon is 5; --gradient bptt has no use for it"),
        (("--gradient", "truncated"), "--gradient is truncated; it needs --horizon"),
        (("--gradient", "checkpointed", "--memory", "9B"), "--memory is 9 B; the least that works is"),
        (
            ("--burn-in", 9000),
            "--burn-in is 9000 and --update-every 5; together they are longer than the training part",
        ),
    ],
)
def test_senseless_choices_of_a_gradient_are_refused_before_any_work(refused, text_file, tmp_path, options, said):
    assert said in refused("train", text_file, "--output", tmp_path / "run", *SMALL, *options, code=2)
    assert not (tmp_path / "run").exists()


def test_a_training_that_diverges_says_so_at_the_end(command, text_file, tmp_path):
    words = ("--learning-rate", 30, "--clip-norm", 0, "--warm-up", 0, "--schedule", "constant", "--epochs", 2)
    code, out, err = command("train", text_file, "--output", tmp_path / "run", *SMALL, *words)
    assert (code, err) == (0, "")
    assert "Warning The training has diverged" in out and "does no worse" in out and "--learning-rate" in out


@pytest.mark.parametrize("command_line", [("train",), ("evaluate",), ("sample", "--length", "5")])
def test_a_closed_standard_output_is_no_traceback(text_file, trained, tmp_path, command_line):
    name, *options = command_line
    more = {
        "train": (text_file, "--output", tmp_path / "other", *SMALL),
        "evaluate": (trained, text_file),
        "sample": (trained,),
    }[name]
    with process(name, *more, *options, stdout=None, preexec_fn=lambda: os.close(1)) as running:
        _, err = running.communicate()
    assert (running.returncode, err) == (0, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full, which Linux has")
@pytest.mark.parametrize("name", ["evaluate", "sample"])
def test_an_output_that_is_full_is_one_sentence(text_file, trained, name):
    words = {"evaluate": (trained, text_file), "sample": (trained, "--length", "5")}[name]
    with open("/dev/full", "w") as full, process(name, *words, stdout=full) as running:
        _, err = running.communicate()
    assert running.returncode == 1
    assert err == "throughtime: The output cannot be written (No space left on device).\n"


def test_a_reader_that_goes_away_ends_the_training_without_a_traceback(text_file, tmp_path):
    words = ("train", text_file, "--output", tmp_path / "run", *SMALL, "--epochs", 500)
    with process(*words) as running:
        assert running.stdout is not None and running.stderr is not None
        running.stdout.readline()
        running.stdout.close()
        assert running.stderr.read() == ""
        assert running.wait() == 1


@pytest.fixture
def table(tmp_path):
    """A table of 9 machines, of 4 to 12 hours, with a kind per machine."""
    path = tmp_path / "table.csv"
    rows = [f"m{m},{h},{m * h % 7},{'ab'[m % 2]}" for m in range(9) for h in range(m + 4)]
    path.write_text("\n".join(["who,hour,heat,kind", *rows]) + "\n")
    return path


def test_a_dry_run_prints_what_a_run_begins_with_and_writes_nothing(command, table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ("train", table, "--id", "who", "--target", "kind", "--epochs", 1, "--hidden-size", 3)
    code, told, err = command(*words, "--output", "run", "--dry-run")
    assert (code, err) == (0, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["table.csv"]
    lines = told.splitlines()
    assert lines[0] == "Task    classify: Each series has a class."
    for line in ("        heat  whole numbers  an input", "        kind  2 words        the target"):
        assert line in lines
    assert any(line.startswith("        Held out for validation: 2 series of 9") for line in lines)
    assert any(line.startswith("Guess   shares") for line in lines)
    assert lines[-1] == "Nothing was trained or written; without --dry-run this run begins."
    code, out, _ = command(*words, "--output", "run")
    (validation,) = (line for line in out.splitlines() if line.startswith("epoch"))
    assert code == 0 and re.search(r" nats  accuracy [\d.]+  balanced accuracy [\d.]+  mean F1 [\d.]+  ", validation)
    assert code == 0 and out.splitlines()[: len(lines) - 1] == lines[:-1]


def test_a_dry_run_of_a_stream_or_a_resumed_run_is_refused(refused, trained, text_file):
    said = refused("train", text_file, "--online", "--dry-run", code=2)
    assert "a stream is not read before it is learned: leave --dry-run out" in said
    assert "--dry-run came with --resume" in refused("train", "--resume", trained, "--dry-run", code=2)


def test_a_file_of_series_is_read_once(command, table, tmp_path, monkeypatch):
    from throughtime.data import roles
    from throughtime.data.formats import choice

    calls = []

    def counted(name, function):
        def call(*given):
            calls.append(name)
            return function(*given)

        return call

    monkeypatch.setattr(choice, "read", counted("read", choice.read))
    monkeypatch.setattr(roles, "_with_time", counted("time", roles._with_time))
    table.write_text(table.read_text().replace("hour", "timestamp"))
    assert command("train", table, "--id", "who", "--target", "kind", "--dry-run")[0] == 0
    assert calls == ["read"]


def test_a_run_starts_from_the_model_of_another_on_another_text(command, refused, trained, text_file, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text(text_file.read_text()[::-1][:1500])
    words = ("train", other, "--start-from", trained, "--batch-size", 2, "--update-every", 5, "--epochs", 1)
    code, out, err = command(*words, "--learning-rate", 1e-30, "--threads", 1, "--output", tmp_path / "further")
    assert (code, err) == (0, "")
    weights = [load_file(folder / "model.safetensors") for folder in (trained, tmp_path / "further")]
    torch.testing.assert_close(*weights)
    first, second = read_record(trained), read_record(tmp_path / "further")
    assert second.data.vocabulary == first.data.vocabulary and second.data.file == str(other)
    assert second.settings["start_from"] == str(trained) and second.model.hidden_size == first.model.hidden_size
    said = refused(*words, "--hidden-size", 9, "--output", tmp_path / "no", code=2)
    assert "--hidden-size is 9; the run to start from has 7" in said
    other.write_text(other.read_text() + "Ж")
    assert "never saw in training" in refused(*words, "--output", tmp_path / "no")
    assert "skip-unknown" not in refused(*words, "--output", tmp_path / "no")
    assert refused(*words[:2], "--start-from", tmp_path / "absent", code=1)
    assert not (tmp_path / "no").exists()
