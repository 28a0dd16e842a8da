import json
import sys

import pytest

from throughtime.records import Verdict, read_flows

pytest.importorskip("matplotlib")
QUICK = ("--steps", "30", "--rows", "4")
SMALL_MODEL = ("--hidden-size", "7", "--num-layers", "1")


def test_a_run_is_diagnosed_on_its_held_out_text_and_its_report_written_anew(command, trained):
    before = read_flows(trained)
    code, out, err = command("diagnose", trained, *QUICK, "--lag", "3")
    assert (code, err) == (0, "")
    flow = read_flows(trained)[-1]
    assert (flow.steps, flow.rows, flow.wanted_lag) == (30, 4, 3)
    assert flow.update == before[-1].update and len(read_flows(trained)) == len(before), "it takes the other's place"
    assert flow.finding is not None
    said = flow.finding.sentence
    assert f"Verdict {said[0].upper()}{said[1:].rstrip('.')}.\n" in out, "a sentence, as on the page"
    page = (trained / "report.html").read_text()
    assert flow.finding.verdict.value in page and str(trained / "report.html") in out
    assert json.loads((trained / "report.json").read_text())["diagnoses"][-1]["wanted_lag"] == 3


def test_a_text_is_diagnosed_with_a_model_that_has_learned_nothing(command, text_file, tmp_path):
    page = tmp_path / "page.html"
    words = ("diagnose", text_file, "--output", page, *QUICK, *SMALL_MODEL, "--cell", "gru", "--seed", "3")
    code, out, err = command(*words)
    assert (code, err) == (0, "")
    numbers = json.loads(page.with_suffix(".json").read_text())
    (flow,) = numbers["diagnoses"]
    assert [layer["cell"] for layer in flow["layers"]] == ["GRUCell"] and flow["layers"][0]["size"] == 7
    assert flow["update"] == 0 and flow["wanted_lag"] == 30
    assert flow["finding"]["verdict"] == Verdict.HEALTHY.value and flow["memory"]["unused"]
    assert "no better yet than a naive prediction" in out, "it forgets within a dozen steps, and loses nothing by it"
    assert "--cell gru" in page.read_text() and "--seed 3" in page.read_text(), "how to make it again"
    assert command(*words)[1] == out, "the same seed, the same words"


@pytest.mark.parametrize("spoilt", ['{"x', '{"format": 99, "diagnoses": []}'])
def test_diagnoses_that_cannot_be_read_are_replaced(command, trained, spoilt):
    (trained / "diagnosis.json").write_text(spoilt)
    code, out, err = command("diagnose", trained, *QUICK)
    assert (code, err) == (0, "") and "This diagnosis replaces it." in out
    assert len(read_flows(trained)) == 1


def test_a_page_that_cannot_be_is_refused_before_any_work(command, text_file):
    code, out, err = command("diagnose", text_file, *QUICK, *SMALL_MODEL, "--output", "page.json")
    assert (code, out) == (2, "") and "--output is page.json" in err and ".html" in err


def test_without_what_draws_the_page_the_verdict_is_told(command, trained, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, out, err = command("diagnose", trained, *QUICK)
    assert code == 1 and "Verdict " in out and "pip install 'throughtime[report]'" in err
    assert read_flows(trained)[-1].steps == 30, "and it is kept"


def test_another_text_than_the_runs_own(command, trained, text_file, tmp_path):
    text_file.rename(tmp_path / "elsewhere.txt")
    code, _, err = command("diagnose", trained, *QUICK)
    assert code == 1 and "text.txt" in err
    assert command("diagnose", trained, *QUICK, "--data", tmp_path / "elsewhere.txt")[0] == 0
    (tmp_path / "foreign.txt").write_text("the lazy dog Ω sees the fox " * 40)
    code, _, err = command("diagnose", trained, *QUICK, "--data", tmp_path / "foreign.txt")
    assert code == 1 and "'Ω'" in err and "--skip-unknown" in err
    assert command("diagnose", trained, *QUICK, "--data", tmp_path / "foreign.txt", "--skip-unknown")[0] == 0


def test_a_text_that_has_changed_is_refused(command, trained, text_file):
    text_file.write_text(text_file.read_text()[:-7])
    code, _, err = command("diagnose", trained, *QUICK)
    assert code == 1 and "SHA-256 has changed" in err and "--data" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--cell", "rnn"), "--cell is for a new model, and RUN holds a trained model: leave it out."),
        (("--output", "x.html"), "--output is for a new model"),
        (("--steps", "0"), "--steps is 0; it must be at least 1."),
        (("--seed", "3"), "--seed is for a new model"),
        (("--lag", "31"), "--lag is 31; it must be from 0 to --steps, 30."),
    ],
)
def test_what_a_run_cannot_be_told_is_refused(command, trained, words, said):
    code, out, err = command("diagnose", trained, *QUICK, *words)
    assert (code, out) == (2, "") and said in err


def test_what_is_no_run_and_no_text_is_refused(command, text_file, tmp_path):
    code, _, err = command("diagnose", tmp_path)
    assert code == 1 and f"RUN or DATA is {tmp_path}, a folder without record.json; give a run folder" in err
    code, _, err = command("diagnose", tmp_path / "absent.txt")
    assert code == 1 and "absent.txt" in err
    (tmp_path / "one.txt").write_text("x")
    code, _, err = command("diagnose", tmp_path / "one.txt")
    assert code == 1 and "2 to predict one" in err
    code, _, err = command("diagnose", text_file, *QUICK, *SMALL_MODEL, "--output", tmp_path / "no" / "page.html")
    assert code == 2 and "--output" in err
    code, _, err = command("diagnose", text_file, "--data", text_file)
    assert code == 2 and "--data is for a run" in err


def test_one_step_is_too_short_and_the_page_says_so(command, text_file, tmp_path):
    page = tmp_path / "page.html"
    code, out, _ = command("diagnose", text_file, "--output", page, "--steps", "1", "--rows", "3", *SMALL_MODEL)
    assert code == 0 and "Verdict Too short" in out and "too short" in page.read_text()
