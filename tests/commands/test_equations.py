"""`throughtime equations`: its table, its exit code, its file, and what it refuses."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
from jsonargparse import ArgumentParser

import throughtime.lecture_notes
from throughtime.commands import equations, verify
from throughtime.errors import ArgumentError


def run(*words: str) -> int:
    parser = ArgumentParser(exit_on_error=False)
    equations.add_arguments(parser)
    return equations.run(parser.parse_args(list(words)))


def test_every_equation_is_printed_and_confirmed(capsys):
    assert run() == 0
    printed = capsys.readouterr().out
    for note, numbers in (("MR", 8), ("HSK", 14)):
        assert all(f"[{note}] ({number})" in printed for number in range(1, numbers + 1))
    assert "[Y] (1)" in printed and "[T] 8–10 steps" in printed
    assert printed.startswith("Figures are relative distances")
    assert "wrong as printed" in printed.splitlines()[-1]
    assert max(map(len, printed.splitlines()[:-1])) <= 120


def test_one_note_only(capsys):
    assert run("--note", "y") == 0
    printed = capsys.readouterr().out
    assert "[Y] (1)" in printed and "[HSK] (" not in printed and "[MR] (" not in printed


def test_a_verdict_that_is_not_measured_fails_the_command(capsys, monkeypatch):
    rows = throughtime.lecture_notes.verify(0, throughtime.lecture_notes.Note.MR)
    lie = [replace(rows[0], confirmed=False), *rows[1:]]
    monkeypatch.setattr(throughtime.lecture_notes, "verify", lambda seed, note: lie)
    assert run() == 1
    assert "NOT CONFIRMED by measurement: [MR] (1)." in capsys.readouterr().out


def test_rows_as_json(tmp_path, capsys):
    target = tmp_path / "rows.json"
    assert run("--note", "hsk", "--seed", "5", "--json", str(target)) == 0
    content = json.loads(target.read_text(encoding="utf-8"))
    assert content["seed"] == 5
    (sign,) = [row for row in content["rows"] if row["number"] == "(10)" and row["verdict"] == "wrong sign"]
    assert sign["printed_automatic"] == pytest.approx(2) and sign["corrected_automatic"] < 1e-12
    assert list(tmp_path.iterdir()) == [target]


def test_json_that_cannot_be_written_is_one_sentence_after_the_table(tmp_path, capsys):
    with pytest.raises(ArgumentError, match=r"^json is .*missing.* could not be written \(No such file"):
        run("--note", "mr", "--json", str(tmp_path / "missing" / "rows.json"))
    assert "[MR] (8)" in capsys.readouterr().out


def test_json_over_a_folder_leaves_nothing_behind(tmp_path, capsys):
    (tmp_path / "rows.json").mkdir()
    with pytest.raises(ArgumentError, match="json is .* a folder; it must be a file: name another file"):
        run("--note", "mr", "--json", str(tmp_path / "rows.json"))
    assert [path.name for path in tmp_path.iterdir()] == ["rows.json"]


def test_verify_is_another_name_of_the_command(command):
    assert (verify.run, verify.add_arguments) == (equations.run, equations.add_arguments)
    assert command("verify", "--note", "t") == command("equations", "--note", "t")
    helps = [command(name, "--help")[1].partition("Measure the equations") for name in ("verify", "equations")]
    assert helps[0][1:] == helps[1][1:] and "--note" in helps[0][2]


@pytest.mark.parametrize("seed", ["-1", str(2**63)])
def test_seed_out_of_range(seed):
    with pytest.raises(ArgumentError, match=f"^seed is {seed}; it must be from 0 to {2**63 - 1}: the default is 0"):
        run("--seed", seed)


def test_width_too_small():
    with pytest.raises(ArgumentError, match="^width is 60; it must be from 110 to 10000: the default is 120"):
        run("--width", "60")


def test_help_needs_no_torch():
    code = (
        "import sys; from jsonargparse import ArgumentParser; from throughtime.commands import equations;"
        "equations.add_arguments(ArgumentParser()); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


def test_a_terminal_without_unicode_gets_question_marks():
    code = (
        "from argparse import Namespace; from throughtime.commands import equations;"
        "equations.run(Namespace(note='t', seed=0, json=None, width=120))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=_environment("ascii"), capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert b"[T] 8?10 steps" in done.stdout


def _environment(encoding: str) -> dict[str, str]:
    return {**os.environ, "PYTHONIOENCODING": encoding}
