import json

import pytest
from commands.processes import process

pytest.importorskip("matplotlib", reason="matplotlib is not installed")
pytest.importorskip("jinja2", reason="jinja2 is not installed")


def test_the_page_of_a_trained_run(command, trained):
    for name in ("report.html", "report.json"):
        (trained / name).unlink()  # those that training wrote
    code, out, err = command("report", trained)
    assert (code, err) == (0, "")
    page, verdict = out.splitlines()
    assert page == str(trained / "report.html") and "Best validation: " in verdict
    text = (trained / "report.html").read_text(encoding="utf-8")
    record = json.loads((trained / "record.json").read_text())
    numbers = json.loads((trained / "report.json").read_text())
    assert verdict == " ".join(numbers["verdict"]) and all(sentence in text for sentence in numbers["verdict"])
    assert numbers["record"]["results"] == record["results"] and len(numbers["metrics"]) == 1


def test_the_page_may_lie_elsewhere(command, trained, tmp_path):
    (trained / "report.html").unlink()
    code, out, _ = command("report", trained, "--output", tmp_path / "page.html")
    assert code == 0 and out.startswith(f"{tmp_path / 'page.html'}\n")
    assert (tmp_path / "page.html").exists() and (tmp_path / "page.json").exists()
    assert not (trained / "report.html").exists()


def test_what_is_no_run_is_refused(refused, trained, tmp_path):
    assert "is not a folder" in refused("report", tmp_path / "absent")
    assert "has no record.json" in refused("report", tmp_path)
    (trained / "metrics.csv").write_text("nonsense\n1\n")
    assert "metrics.csv is damaged" in refused("report", trained)


def test_where_no_page_can_lie_is_refused(refused, trained, tmp_path):
    assert refused("report", trained, "--output", tmp_path, code=2).startswith(
        f"--output is {tmp_path}, which is a folder; it must be the path of a file"
    )
    assert "there is no folder" in refused("report", trained, "--output", tmp_path / "a" / "b.html", code=2)
    (tmp_path / "page.html.partial").mkdir()
    assert "page.html failed" in refused("report", trained, "--output", tmp_path / "page.html")


def test_a_terminal_without_the_letters_does_not_end_in_an_error(trained, tmp_path):
    folder = tmp_path / "läuft"
    trained.rename(folder)
    with process("report", folder, env={"PYTHONIOENCODING": "ascii", "PATH": "/usr/bin"}) as running:
        out, err = running.communicate()
    assert (running.returncode, err) == (0, "") and "l?uft" in out
