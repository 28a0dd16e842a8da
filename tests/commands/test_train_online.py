"""`throughtime train --online`: a stream from standard input, a file, a file that grows."""

import csv
import json
import signal

import pytest
import torch
from commands.processes import lines_until, process

SMALL = ("--online", "--hidden-size", "6", "--num-layers", "1", "--embedding-size", "4", "--update-every", "5",
         "--threads", "1")  # fmt: skip


def _weights(folder):
    return torch.load(folder / "last.ckpt", weights_only=True)["learner"]["model"]


def _same(a, b):
    return all(torch.equal(value, b[name]) for name, value in a.items())


def test_a_file_is_a_stream_of_its_bytes(command, text_file, tmp_path):
    folder = tmp_path / "run"
    code, out, err = command("train", text_file, "--output", folder, *SMALL)
    assert code == 0, err
    record = json.loads((folder / "record.json").read_text())
    assert record["data"]["bytes"] == text_file.stat().st_size and record["outcome"] == "finished"
    assert record["data"]["units"] == "bytes" and "BPTT" in record["machine"]["gradient"]
    rows = list(csv.DictReader((folder / "metrics.csv").read_text().splitlines()))
    assert 0 < float(rows[-1]["train_loss"]) < 5.545 and float(rows[-1]["gradient_norm"]) > 0
    assert 0 <= float(rows[-1]["clipped"]) <= 1 and int(rows[-1]["update"]) == (text_file.stat().st_size - 1) // 5
    assert "byte counts" in out and f"throughtime train --resume {folder}" in out
    code, out, _ = command("sample", folder, "--length", "20")
    assert code == 0 and out
    assert command("evaluate", folder, text_file)[0] == 0


def test_standard_input_is_read_as_it_comes_and_left_bit_for_bit_resumable(text_file, tmp_path, command):
    content = text_file.read_bytes()
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert command("train", text_file, "--output", whole, *SMALL)[0] == 0
    for words, piece in ((("-", "--output", parts, *SMALL), content[:801]), (("--resume", parts), content[801:])):
        run = process("train", *words, stdin=-1, text=False)
        out, err = run.communicate(piece)
        assert run.returncode == 0, err
    assert _same(_weights(whole), _weights(parts))


@pytest.mark.parametrize(
    "words",
    [
        ("--gradient", "rtrl"),
        ("--gradient", "snap", "--order", "1"),
        ("--gradient", "uoro"),
        ("--gradient", "eprop"),
        ("--gradient", "rflo", "--leak", "0.5", "--cell", "rnn"),
        ("--gradient", "truncated", "--horizon", "9"),
        ("--gradient", "checkpointed", "--segments", "2"),
    ],
    ids=lambda words: words[1],
)
def test_every_method_learns_from_a_stream(command, text_file, tmp_path, words):
    text_file.write_bytes(text_file.read_bytes()[:300])
    folder = tmp_path / "run"
    code, _, err = command("train", text_file, "--output", folder, *SMALL, *words)
    assert code == 0, err
    assert json.loads((folder / "record.json").read_text())["results"]["updates"] == 299 // 5


TELLS_WHEN_IT_WAITS = """
import sys
from throughtime.commands.main import main
from throughtime.data.bytestream import ByteStream

check = ByteStream._check_file

def tell_and_check(stream):
    print("waiting after", stream._offset, flush=True)
    check(stream)

ByteStream._check_file = tell_and_check
sys.exit(main())
"""
"""The real command, and a line whenever all that the file has been given is learned."""


def test_a_file_that_grows_is_followed_until_ctrl_c_and_gone_on_with(command, text_file, tmp_path):
    content, grows, folder = text_file.read_bytes(), tmp_path / "grows.log", tmp_path / "run"
    grows.write_bytes(content[:500])
    with process("train", grows, "--follow", "--output", folder, *SMALL, script=TELLS_WHEN_IT_WAITS) as run:
        lines_until("waiting after 500\n", run)
        with grows.open("ab") as handle:
            handle.write(content[500:700])
        lines_until("waiting after 700\n", run)
        run.send_signal(signal.SIGINT)
        _, err = run.communicate()
    assert run.returncode == 130
    assert err == (
        "throughtime: Interrupted after 700 bytes; everything is saved; go on with: throughtime train --resume "
        f"{folder}.\n"
    )
    record = json.loads((folder / "record.json").read_text())
    assert record["outcome"] == "interrupted" and record["data"]["bytes"] == 700
    with grows.open("ab") as handle:
        handle.write(content[700:])
    assert command("train", "--resume", folder)[0] == 0
    whole = tmp_path / "whole"
    text_file.write_bytes(content)
    assert command("train", text_file, "--output", whole, *SMALL)[0] == 0
    assert _same(_weights(whole), _weights(folder))


def test_a_file_that_has_become_shorter_is_refused(command, refused, text_file, tmp_path):
    assert command("train", text_file, "--output", tmp_path / "run", *SMALL)[0] == 0
    text_file.write_bytes(b"other")
    assert "has 5 bytes, fewer than the" in refused("train", "--resume", tmp_path / "run")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("nothing.txt", "--online"), "FILE nothing.txt does not exist"),
        (("-", "--online", "--follow"), "--follow is given for standard input; it is for a file that grows"),
        (("{file}", "--follow"), "--follow waits for a file to grow; that is for --online"),
        (("{file}", "--online", "--epochs", "3"), "--epochs is 3; a run with --online has no use for it"),
        (("{file}", "--online", "--validation", "0.3"), "--validation is 0.3; a run with --online has no use for it"),
        (
            ("{file}", "--online", "--encoding", "latin-1"),
            "--encoding is latin-1; a run with --online has no use for it",
        ),
        (
            ("{file}", "--online", "--gradient", "checkpointed", "--memory", "1B"),
            "--memory is 1 B; the least that works",
        ),
        (("{file}", "--online", "--gradient", "checkpointed", "--memory", "much"), "--memory is 'much'; it must be"),
        (
            ("{file}", "--online", "--gradient", "rtrl", "--num-layers", "1", "--dropout", "0.2"),
            "the model draws random numbers (dropout?)",
        ),
        (("{file}", "--online", "--gradient", "rflo"), "RFLO cannot serve a LSTMCell"),
        (("{file}", "--online", "--leak", "0.5"), "--leak is 0.5; --gradient bptt has no use for it"),
        (("{file}", "--online", "--order", "0", "--gradient", "snap"), "--order is 0; it must be at least 1"),
    ],
)
def test_what_has_no_meaning_on_a_stream_is_refused_by_name(refused, text_file, tmp_path, words, sentence):
    folder = tmp_path / "run"
    code = 1 if {"nothing.txt", "rflo", "rtrl"} & set(words) else 2  # 2: the command line is at fault
    message = refused("train", *(word.format(file=text_file) for word in words), "--output", folder, code=code)
    assert message.startswith(sentence) and not folder.exists()
