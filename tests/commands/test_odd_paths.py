"""Names of folders and files that look like something else."""

import os

import pytest
from commands.processes import SMALL

ODD = {"an address": "http", "a chain": "a::b", "a scheme": "s3:", "no text": os.fsdecode(b"r\xff"), "home": "~x"}


@pytest.mark.parametrize("name", ODD.values(), ids=ODD)
def test_a_run_lives_in_a_folder_of_any_name(name, command, tmp_path, monkeypatch):
    """It is trained, resumed, evaluated and reported by a relative path, which begins with the name."""
    monkeypatch.chdir(tmp_path)
    os.mkdir(name)
    text = f"{name}/text.txt"
    with open(text, "w") as file:
        file.write("the lazy dog jumps over quick foxes\n" * 8)
    run = f"{name}/run"
    for words in (
        ["train", text, "--output", run, *SMALL],
        ["train", "--resume", run, "--epochs", "2"],
        ["evaluate", run, text],
        ["report", run],
    ):
        code, _, err = command(*words)
        assert (code, err) == (0, ""), words
    assert os.path.exists(f"{run}/report.html")


def test_a_tilde_stands_for_the_home_folder_in_every_path(command, refused, text_file, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "~" not in refused("evaluate", "~/absent", text_file)
    assert command("train", "~/text.txt", "--output=~/run", *SMALL)[0] == 0
    assert command("report", "~/run", "--output=~/page.html")[0] == 0
    assert (tmp_path / "page.html").exists()
    assert "is complete" in command("train", "--resume=~/run")[1]
    assert "already holds a run" in refused("train", "--config=~/run/config.yaml", "--output", "~/run")


def test_a_name_that_is_too_long_is_said_in_one_sentence(refused, text_file):
    assert "File name too long" in refused("evaluate", "x" * 300, text_file)


def test_a_number_beyond_all_floats_is_said_in_one_sentence(refused, text_file):
    assert "holds a number that is too large" in refused("train", text_file, f"--dropout=1{'0' * 400}", code=2)
