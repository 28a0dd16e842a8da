import json
from dataclasses import replace

import pytest

from throughtime.benchmark import tapping as module
from throughtime.benchmark.figures import Timing
from throughtime.benchmark.grid import Shape
from throughtime.benchmark.tapping import BRIEF, TapFigures, measure_tap, tap_as_json, tap_header, tap_row, tap_summary

FIGURES = TapFigures(
    *("lstm", Shape(3, 5, 7), True),
    *(Timing((4e-4, 2e-4, 1e-4)), Timing((2.2e-4, 1.5e-4, 3e-4))),
    *(Timing((8e-4, 8e-4, 8e-4)), Timing((8.08e-4, 8.08e-4, 9e-4))),
)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_the_four_sides_are_what_they_are_called(brief, monkeypatch, cell):
    """Which of them record, and which change the weights' gradients."""
    seen = {}

    def look(sides, product, protocol):
        layer = next(iter(sides.values()))
        layer = getattr(layer, "run", layer).layer
        for name, side in sides.items():
            layer.zero_grad()
            opened = []
            hook = layer.register_forward_hook(lambda module, *_, opened=opened: opened.append(module.tap is not None))
            side()
            hook.remove()
            seen[name] = opened, layer.weight_hh_l0.grad is not None, layer.tap is None
        return {name: Timing((1.0,)) for name in sides}, 0.0

    monkeypatch.setattr(module, "take_turns", look)
    assert measure_tap(cell, Shape(3, 5, 7), brief).same
    assert seen == {
        "passes": ([False], False, True),
        "passes_open": ([True], False, True),
        "update": ([False], True, True),
        "update_open": ([True], True, True),
    }


def test_a_tap_that_changes_a_gradient_is_not_timed(brief, monkeypatch):
    monkeypatch.setattr(module, "take_turns", lambda *_: pytest.fail("timed"))
    monkeypatch.setattr(module, "tap", _scaling)
    figures = measure_tap("gru", Shape(3, 5, 7), brief)
    assert not figures.same and "PARITY FAILED" in tap_row(figures) and tap_summary([figures]) == []


class _scaling:
    def __init__(self, layer):
        self.layer = layer

    def __enter__(self):
        self.hook = self.layer.weight_hh_l0.register_hook(lambda gradient: gradient * 1.0001)

    def __exit__(self, *_):
        self.hook.remove()


def test_a_row_stands_under_the_header():
    text = tap_row(FIGURES)
    assert text.split() == ["lstm", "3x5x7", "200", "1.100", "1.500", "800", "1.010", "1.010"]
    assert len(text) == len(tap_header())


def test_the_summary_names_the_largest_and_counts_what_misses_the_goal():
    slow = replace(FIGURES, cell="rnn", update_open=Timing((8.4e-4,)), passes_open=Timing((8.8e-4,)))
    lines = tap_summary([FIGURES, slow])
    assert lines == [
        "passes: geometric mean 2.200, largest 4.400 (rnn 3x5x7)",
        "update: geometric mean 1.030, largest 1.050 (rnn 3x5x7)",
        "An update is to take at most 1.02 times as long: missed in 1 of 2 cases.",
    ]


def test_everything_measured_is_in_the_file():
    content = json.loads(json.dumps(tap_as_json({"cores": 2}, BRIEF, [FIGURES], False), allow_nan=False))
    assert content["complete"] is False and content["goal"] == 1.02 and content["machine"] == {"cores": 2}
    (row,) = content["tap"]
    assert row["ratio_of_updates"] == pytest.approx(1.01) and row["passes_open"]["seconds"] == [2.2e-4, 1.5e-4, 3e-4]
