from dataclasses import replace

import pytest
from report.examined import examination
from report.pages import read_page, section_of, table_of
from report.records_of import record, write_run

from throughtime.records import Examination, Metric, write_examination
from throughtime.report import report_of_run
from throughtime.report.predictions import predictions
from throughtime.report.run import read_run


def test_every_part_of_an_examination_is_shown():
    (section,) = predictions(examination(), record())
    assert section.heading == "Predictions of the held-out characters"
    assert list(section.sentences) == [
        "Accuracy: 0.8125. Naive predictions: majority 0.25 and nearest 0.75.", "R²: –."
    ]  # fmt: skip
    assert [exhibit.heading for exhibit in section.exhibits] == [
        "Forecasts of held-out series", "Confusion matrix", "Calibration", "Predicted against true", "Errors by series",
        "Errors by step ahead",
    ]  # fmt: skip
    metrics, worst = section.tables
    assert list(metrics.heads) == ["", "model", "uniform", "unigram", "bigram", "majority", "nearest"]
    assert metrics.rows[0][:3] == ["cross-entropy, nats", 0.375, 4.5] and metrics.rows[1][5] == 0.25
    assert list(worst.heads) == ["series", "true", "predicted", "step", "loss"]
    assert worst.rows[0] == ["M0", "fine", "broken for good", 0.0, 2.5] and len(worst.rows) == 4


def test_what_was_not_examined_is_not_shown():
    assert predictions(None, record()) == []
    (section,) = predictions(Examination([Metric("MSE", 0.5)]), record())
    assert not section.exhibits and not section.sentences and len(section.tables) == 1


@pytest.fixture
def run_folder(tmp_path):
    """A run with an examination, without diagnoses and tables, so that its page is drawn soon."""
    folder = write_run(tmp_path / "run")
    for name in ("diagnosis.json", "updates.csv", "step_norms.csv"):
        (folder / name).unlink()
    return folder


def test_the_page_has_the_metrics_and_the_numbers_all_of_it(run_folder):
    write_examination(run_folder, replace(examination(), calibration=[], scatter=None, errors=[], fans=[]))
    written = report_of_run(run_folder)
    page = read_page(written.page.read_bytes())
    section = section_of(page, "predictions")
    assert "Confusion matrix" in section.text and "<worn> & torn" in section.text
    assert table_of(page, "The highest losses")[1][:3] == ["M0", "fine", "broken for good"]
    assert "0.8125 (majority 0.25, nearest 0.75)" in section_of(page, "particulars").text
    assert '"majority": 0.25' in written.numbers.read_text()


def test_an_examination_of_other_weights_is_not_shown_and_said(run_folder):
    write_examination(run_folder, replace(examination(), update=799))
    page = read_page(report_of_run(run_folder).page.read_bytes())
    assert not [one for one in page.all("section") if one.attributes.get("id") == "predictions"]
    assert "The run has gone on since its predictions were examined" in section_of(page, "missing").text
    assert "nearest" not in section_of(page, "particulars").text
    assert read_run(run_folder).examination is not None
