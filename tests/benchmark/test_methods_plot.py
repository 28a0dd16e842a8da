import pytest
from benchmark.test_methods_report import FIGURES

from throughtime.benchmark.grid import Shape
from throughtime.benchmark.methods import MethodFigures

pytest.importorskip("matplotlib", reason="matplotlib is not installed")

from throughtime.benchmark.methods_plot import draw_methods  # noqa: E402  (needs matplotlib)


def test_what_was_timed_is_drawn_for_each_cell(tmp_path):
    refused = MethodFigures("RFLO()", False, "RFLO cannot serve a GRUCell")
    draw_methods({"rnn": [FIGURES], "gru": [FIGURES, refused]}, Shape(3, 5, 7), tmp_path / "methods", "svg")
    text = (tmp_path / "methods").read_text(encoding="utf-8")
    for said in ("rnn 3x5x7: time over BPTT's", "gru 3x5x7: time over BPTT's", "SnAp(order=1)", "0.25"):
        assert f"<!-- {said} -->" in text, said
    assert "RFLO" not in text


def test_nothing_timed_is_an_empty_picture(tmp_path):
    draw_methods({"rnn": []}, Shape(3, 5, 7), tmp_path / "methods", "png")
    assert (tmp_path / "methods").read_bytes().startswith(b"\x89PNG")
