"""The page of a run: from whatever its folder holds."""

import json
import math
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
from report.pages import read_page, section_of, table_of
from report.records_of import flow, metrics, record, step_norms, updates, write_run

from throughtime.diagnosis.evidence import LayerEvidence
from throughtime.errors import ArgumentError, RunFolderError, UnsupportedError
from throughtime.records import (
    CONFIG,
    STEP_NORMS,
    UPDATES,
    Baselines,
    Context,
    Finding,
    Flow,
    Horizon,
    LagGain,
    Memory,
    MetricsRow,
    NonFinite,
    Outcome,
    Results,
    Source,
    UpdateRow,
    Verdict,
    write_flows,
    write_metrics,
    write_record,
    write_table,
)
from throughtime.records.plain import from_plain
from throughtime.report import report_of_run
from throughtime.report.maps import NormMap
from throughtime.report.sentences import Absent, FigureName, LookFor, Says


@pytest.fixture
def bare(tmp_path):
    """A run that has only just started."""
    folder = tmp_path / "bare"
    folder.mkdir()
    write_record(folder, record(outcome=Outcome.STARTED, results=Results()))
    return folder


def _page(folder, **arguments):
    return read_page(report_of_run(folder, **arguments).page.read_bytes())


def test_the_verdict_comes_first(rich_page):
    verdict = section_of(rich_page, "verdict")
    assert next(verdict.all("h2")).text == "Verdict: vanishing"
    sentences = [one.text for one in verdict.all("p")]
    assert [each.text for each in verdict.all("h3")] == ["Is it good?", "What limits it?", "What to do"]
    assert sentences[0] == (
        "Yes. Best validation: 1.875 nats (2.705 bits) per character, 0.525 nats below the bigram guess: a guess "
        "from the last character alone is worse, so it uses what came before that."
    )
    assert sentences[1].startswith("The gradient vanishes in recurrent.l0: after 38.3 steps 1 % is left")
    assert sentences[2].startswith("This diagnosis did not measure whether the loss suffers by it; throughtime")
    assert sentences[3].startswith("This diagnosis is of the weights after update 900; those that are kept are of")
    assert sentences[4].startswith("The training is not finished")
    (step,) = [one.text for one in verdict.all("li")]
    assert step.startswith("Train on: throughtime train --resume"), "and no advice that was not measured"
    assert table_of(rich_page, "What decided it in recurrent.l0")[1:] == [
        ["lag at which 1 % of the gradient is left (steps)", "38.33"],
        ["wanted lag, over which the gradient should last (steps)", "34"],
        ["of tomorrow", "1.5"],
    ]
    history = table_of(rich_page, "All diagnoses, with the shortest horizons at 1/e and 1 % in steps")
    assert [row[0] for row in history[1:]] == ["1", "900"] and history[2][3:] == ["5.556", "25.56"]


def test_the_page_shows_the_diagnosis_of_the_weights_that_are_kept(rich_run, tmp_path):
    kept = replace(flow(2, 800), memory=Memory(99, 1.9, 2.4, 40, [Context(7, 1.9, 0.1)], []))
    kept = replace(
        kept, finding=Finding(Verdict.HEALTHY, "recurrent.l0", {"used": 7.0}, "healthy: all of it", ["Never."])
    )
    folder = shutil.copytree(rich_run, tmp_path / "run")
    write_flows(folder, [flow(2, 1), kept, flow(2, 900)])
    page = _page(folder)
    assert next(section_of(page, "verdict").all("h2")).text == "Verdict: not finished"
    assert "Healthy: all of it." in section_of(page, "verdict").text
    assert "Never" not in page.text and "vanishes" not in section_of(page, "verdict").text
    assert table_of(page, "What decided it")[1] == ["steps of the past that the predictions use", "7"]
    assert [row[0] for row in table_of(page, "All diagnoses")[1:]] == ["1", "800", "900"]


def test_every_figure_of_a_verdict_has_words():
    horizon = Horizon(0.01, 4.0, 3.0, 5.0, 199)
    measured = LayerEvidence(
        flow().layers[0],
        25,
        200,
        1.0,
        0,
        0.5,
        199,
        0.1,
        25,
        64,
        horizon,
        -0.1,
        0.01,
        1.0,
        0.5,
        6.0,
        Memory(99, 2.0, 3.0, 40, [Context(7, 1.0, 0.1)], [LagGain(8, 15, 9, 0.5, 0.1)]),
    )
    assert set(FigureName.__members__) == {name.upper() for name in (*measured.numbers(), "step", "row", "loss")}


def test_a_device_is_not_replaced_by_a_page(bare, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(
        ArgumentError,
        match="output is .*pipe, but .*pipe is not an ordinary file; only ordinary files are replaced: give another",
    ):
        report_of_run(bare, pipe)
    assert pipe.is_fifo()
    pipe.rename(tmp_path / "page.json")
    with pytest.raises(ArgumentError, match="page.json is not an ordinary file"):
        report_of_run(bare, tmp_path / "page.html")


def test_a_config_that_cannot_be_read_is_named(bare):
    (bare / "config.yaml").mkdir()
    with pytest.raises(RunFolderError, match=r"config.yaml cannot be read: Is a directory\."):
        report_of_run(bare)


def test_the_summary_says_what_was_trained(rich_page):
    assert next(rich_page.all("header")).text == (
        "a rich run LSTM with 2 layers of 13 units, 20,011 parameters, after 900 updates on /data/a book.txt: "
        "finished, 94 s of training."
    )


def test_the_particulars_are_there(rich_run, rich_page):
    text = section_of(rich_page, "particulars").text
    for said in ("SHA-256 " + "5e" * 32, "kernel lstm avx2", "torch 2.13.0", "threads 2", "held out 11,113"):
        assert said in text
    shown = [one.text for one in section_of(rich_page, "particulars").all("pre")]
    assert shown == ["file: /data/a book.txt hidden_size: 13", record().reproduce]
    assert section_of(rich_page, "samples").text == "Samples At temperature 0.8 the language is."


def test_the_numbers_are_those_of_the_records(rich_run):
    numbers = json.loads((rich_run / "report.json").read_text())
    assert repr(from_plain(list[Flow], numbers["diagnoses"])) == repr([flow(2, 1, 0.45), flow(2, 900, 0.12)])
    assert from_plain(list[MetricsRow], numbers["metrics"]) == metrics()
    assert from_plain(list[UpdateRow], numbers["updates"]) == updates()
    maps = from_plain(dict[str, NormMap], numbers["step_norms"])
    assert {
        (update, layer, step): norm
        for layer, found in maps.items()
        for step, row in zip(found.steps, found.norms, strict=True)
        for update, norm in zip(found.updates, row, strict=True)
    } == {(row.update, row.layer, row.step): row.norm for row in step_norms()}
    assert numbers["record"]["data"]["sha256"] == "5e" * 32 and numbers["record"]["baselines"]["bigram"] == 2.4
    assert numbers["run"] == "a rich run" and numbers["verdict"][0] == flow().finding.sentence
    assert numbers["clipping"]["nonfinite"] == numbers["clipping"]["skipped"] == 1


def test_a_run_that_has_only_started_says_what_is_missing(bare):
    page = _page(bare)
    missing = [one.text for one in section_of(page, "missing").all("li")]
    again = record().reproduce
    assert missing == [
        Absent.NO_VALIDATION.value,
        Absent.NO_DIAGNOSIS.value.format(way=f"throughtime diagnose {bare}"),
        Absent.NO_UPDATES.value.format(way=again),
        Absent.NO_STEP_NORMS.value.format(way=again),
    ]
    assert next(section_of(page, "verdict").all("h2")).text == "Verdict"
    assert section_of(page, "verdict").text.endswith(Says.NO_RESULT.value)
    assert Absent.NO_VALIDATION.value in section_of(page, "loss").text
    assert "still running" in next(page.all("header")).text
    assert json.loads((bare / "report.json").read_text())["diagnoses"] == []


@pytest.mark.parametrize(
    ("write", "gone", "there"),
    [
        (lambda folder: write_metrics(folder, metrics()), Absent.NO_VALIDATION, "loss"),
        (lambda folder: write_flows(folder, [flow()]), Absent.NO_DIAGNOSIS, "spectra"),
        (lambda folder: write_table(folder / UPDATES, UpdateRow, updates()), Absent.NO_UPDATES, "clipping"),
        (lambda f: write_table(f / STEP_NORMS, type(step_norms()[0]), step_norms()), Absent.NO_STEP_NORMS, "gradient"),
    ],
)
def test_what_is_there_is_shown_and_not_called_missing(bare, write, gone, there):
    write(bare)
    page = _page(bare)
    beginning = gone.value.split("{")[0][:40]
    assert len([one for one in section_of(page, "missing").all("li")]) == 3
    assert beginning not in section_of(page, "missing").text
    assert list(section_of(page, there).all("svg"))


def test_nothing_is_missing_from_a_rich_run(rich_page):
    assert "missing" not in {one.attributes["id"] for one in rich_page.all("section")}


@pytest.mark.parametrize("old", [True, False])
def test_an_online_run_is_called_what_it_is(bare, old):
    made = record(outcome=Outcome.FINISHED, results=Results(700, 0.0, 2.25, 600, 2.5, 900.0, 60.0))
    data = replace(made.data, file="-", sha256="", units="bytes", encoding="", held_out_symbols=0)
    # A record of version 0.1.0 has no settings; a later one says it, whatever the data say.
    data, settings = (data, {}) if old else (replace(data, held_out_symbols=3), {"online": True})
    write_record(bare, replace(made, data=data, baselines=Baselines(math.log(256), 3.5, 2.75), settings=settings))
    write_metrics(bare, [MetricsRow(i, 0.0, 4 - i / 4, 4 - i / 4, 0.01, 1.0, 0.0, 900.0, i) for i in range(1, 7)])
    page = _page(bare)
    text = section_of(page, "verdict").text
    assert "Latest bytes of the stream: 2.500 nats (3.607 bits) per byte, 0.250 nats below the bigram guess" in text
    assert "standard input" in next(page.all("header")).text
    assert LookFor.STREAM_LOSSES.value in section_of(page, "loss").text
    assert [one.text for one in section_of(page, "missing").all("li")] == [
        Absent.NO_DIAGNOSIS.value.format(way=f"throughtime diagnose {bare} --data FILE"),
        Absent.STREAM.value,
    ]
    assert "none: a stream has no end" in section_of(page, "particulars").text
    assert "validation" not in next(section_of(page, "loss").all("svg")).text


def test_a_run_over_a_file_without_held_out_targets_is_no_stream(bare):
    made = record(settings={"online": False})
    write_record(bare, replace(made, data=replace(made.data, held_out_symbols=0)))
    assert Absent.STREAM.value not in section_of(_page(bare), "missing").text


HOSTILE = "</title></pre></style><script>alert(1)</script>\"'&amp; $x_1$ {{ 7*7 }} <!-- ]]>."


def test_text_from_outside_stays_text(tmp_path):
    folder = write_run(tmp_path / "a <b> & \"c\" 'd'")
    made = record()
    hostile = replace(made, data=replace(made.data, file=HOSTILE), machine={HOSTILE: HOSTILE}, reproduce=HOSTILE)
    (folder / CONFIG).write_text(HOSTILE)
    one = flow(1)
    layer = replace(one.layers[0], name=HOSTILE, cell=HOSTILE)
    blocks = {HOSTILE: layer.spectrum.weights["candidate"]}
    acts = [replace(activation, name=HOSTILE) for activation in layer.activations]
    layer = replace(layer, spectrum=replace(layer.spectrum, weights=blocks), activations=acts)
    finding = Finding(Verdict.CHAOTIC, HOSTILE, {HOSTILE: 1.5}, HOSTILE, [HOSTILE])
    found = NonFinite(Source.STATE, HOSTILE, 3, 4)
    write_flows(folder, [replace(one, layers=[layer], finding=finding, nonfinite=found)])
    rows = [replace(row, layer=HOSTILE) for row in step_norms(1)]
    write_table(folder / STEP_NORMS, type(rows[0]), rows)
    write_record(folder, hostile)  # which counts the lines of the tables
    page = _page(folder, samples={HOSTILE: HOSTILE})
    assert not list(page.all("script"))
    assert next(page.all("h1")).text == folder.name
    assert list(section_of(page, "verdict").all("p"))[1].text == HOSTILE.rstrip(".") + "."
    assert HOSTILE in section_of(page, "samples").text and HOSTILE in section_of(page, "particulars").text
    assert any(HOSTILE in svg.text for svg in page.all("svg"))


def test_what_is_not_finite_is_named(bare):
    finding = Finding(Verdict.NON_FINITE, "recurrent.l1", {}, "The gradient is not finite.", [])
    found = NonFinite(Source.GRADIENT, "recurrent.l1", 12, 3)
    write_flows(bare, [replace(flow(), finding=finding, nonfinite=found)])
    text = section_of(_page(bare), "verdict").text
    assert "The first value that is not finite is in the gradient: recurrent.l1, step 12, row 3." in text
    write_flows(bare, [replace(flow(), finding=None, nonfinite=NonFinite(Source.LOSS, "", -1, -1))])
    text = section_of(_page(bare), "verdict").text
    assert Absent.NO_FINDING.value in text and "is in the loss: the model." in text


def test_the_same_records_give_the_same_bytes(rich_run, tmp_path):
    script = (
        "import sys; from throughtime.report import report_of_run; "
        "report_of_run(sys.argv[1], sys.argv[2], {'At temperature 0.8': 'the language\\n  is.'})"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "77", "MPLBACKEND": "svg"}
    again = tmp_path / "again.html"
    subprocess.run([sys.executable, "-c", script, rich_run, again], check=True, env=environment)
    assert again.read_bytes() == (rich_run / "report.html").read_bytes()
    assert (tmp_path / "again.json").read_bytes() == (rich_run / "report.json").read_bytes()


def test_the_users_own_settings_of_matplotlib_change_nothing(rich_run, tmp_path):
    import matplotlib

    with matplotlib.rc_context({"font.size": 30, "xtick.direction": "in", "patch.linewidth": 9}):
        report_of_run(rich_run, tmp_path / "page.html", {"At temperature 0.8": "the language\n  is."})
        assert matplotlib.rcParams["font.size"] == 30
    assert (tmp_path / "page.html").read_bytes() == (rich_run / "report.html").read_bytes()


def test_a_page_of_two_layers_is_not_heavy(rich_run):
    assert (rich_run / "report.html").stat().st_size < 1_500_000


def test_what_is_no_run_or_damaged_is_refused_and_nothing_is_written(bare, tmp_path):
    with pytest.raises(RunFolderError, match="is not a folder"):
        report_of_run(tmp_path / "absent")
    (bare / UPDATES).write_text("update,loss\n1,x\n")
    with pytest.raises(RunFolderError, match="updates.csv is damaged"):
        report_of_run(bare)
    assert not (bare / "report.html").exists()


@pytest.mark.parametrize(
    ("name", "said"), [("", "is a folder"), ("a.json", "ends in .html"), ("no/such/a.html", "there is no folder")]
)
def test_where_no_page_can_lie_is_refused(bare, tmp_path, name, said):
    with pytest.raises(ArgumentError, match=said):
        report_of_run(bare, tmp_path / name)
    assert not (bare / "report.html").exists()


@pytest.mark.parametrize("package", ["matplotlib", "jinja2"])
def test_a_missing_package_is_one_sentence(bare, monkeypatch, package):
    write_metrics(bare, metrics())
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UnsupportedError, match=rf"needs {package}, .*: pip install 'throughtime\[report\]'"):
        report_of_run(bare)
    assert not (bare / "report.html").exists()
