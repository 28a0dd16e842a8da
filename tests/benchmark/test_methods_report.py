import json
from dataclasses import replace

from throughtime.benchmark.figures import Timing
from throughtime.benchmark.grid import Shape
from throughtime.benchmark.methods import BRIEF, MethodFigures
from throughtime.benchmark.methods_report import (
    EXPLANATION,
    methods_as_json,
    methods_header,
    methods_heading,
    methods_row,
)

FIGURES = MethodFigures(
    *("SnAp(order=1)", False, None, 0.25, 0.968, 0.3),
    *(Timing((0.004, 0.002, 0.001)), Timing((0.0005, 0.0004, 0.0006)), 1000, 181500),
)


def test_a_row_stands_under_the_header():
    text, names = methods_row(FIGURES), methods_header()
    assert text.split() == ["SnAp(order=1)", "no", "2.000", "4.00", "1.0", "181.5", "0.250", "0.9680"]
    for name, value in (("ms", "2.000"), ("time", "4.00"), ("peak", "181.5"), ("cosine", "0.9680")):
        assert text[: names.index(name) + len(name)].endswith(value), name
    exact = methods_row(replace(FIGURES, label="RTRL()", exact=True, error=3e-16, worst=4e-16))
    assert exact.split()[:2] == ["RTRL()", "yes"] and "3.0e-16" in exact


def test_what_was_not_timed_says_why():
    wrong = replace(FIGURES, exact=True, worst=2e-7, seconds=None, bptt=None)
    assert methods_row(wrong).endswith("PARITY FAILED, not timed: 2.0e-07 from BPTT, allowed 1e-10")
    refused = MethodFigures("RFLO()", False, "RFLO cannot serve a GRUCell")
    assert methods_row(refused).endswith("does not serve it: RFLO cannot serve a GRUCell")


def test_json_keeps_everything_and_has_no_nan():
    bad = replace(FIGURES, exact=True, worst=float("nan"), seconds=None, bptt=None)
    content = methods_as_json({"processor": "x"}, BRIEF, Shape(3, 5, 7), {"rnn": [FIGURES, bad]}, complete=False)
    first, second = json.loads(json.dumps(content, allow_nan=False))["methods"]["rnn"]
    assert first["seconds"]["seconds"] == [0.004, 0.002, 0.001] and first["ratio"] == 4 and not first["failed"]
    assert second["worst"] == "nan" and second["failed"] and second["ratio"] is None
    assert content["shape"] == {"batch": 3, "hidden": 5, "steps": 7} and content["complete"] is False


def test_what_the_columns_mean_is_said_within_a_line():
    assert max(map(len, EXPLANATION)) <= 120
    assert all(name in " ".join(EXPLANATION) for name in methods_header().split()[3:])
    assert methods_heading("gru", Shape(8, 32, 100)).startswith("-- gru, 8x32x100")
