import json
from dataclasses import replace

from throughtime.benchmark.figures import Distance
from throughtime.benchmark.grid import GRID, GRID_ITSELF, VARIANTS
from throughtime.benchmark.measure import FULL
from throughtime.benchmark.report import EXPLANATION, as_json, header, heading, row, summary


def _failed(measurement):
    distances = (Distance("output", 3e-7, 3e-7, 5e-7), Distance("weight_hh_l0", 2e-3, 2e-7, 4.8e-7))
    return replace(measurement, distances=distances, timings=None, saved=None)


def test_a_row_stands_under_the_header(measured):
    text = row(measured("rnn", (16, 64, 1000), torch=(0.018, 0.0181, 0.019), jax=(0.0025,)))
    assert text.split() == [
        *("rnn", "16", "64", "1000", "18.100", "2.000", "2.500", "9.05", "18.00", "24576%", "0.25", "-", "2%"),
        *(">=", "5", "ok,", ">=", "60%", "ok,", "jax", ">=", "1", "ok"),
    ]
    names = header()
    for name, value in (("ours", "2.000"), ("jax", "2.500"), ("saved", "0.25"), ("other", "2%")):
        end = names.index(name) + len(name)
        assert text[:end].endswith(value), name


def test_a_missed_goal_is_said_in_the_row(measured):
    assert row(measured("rnn", torch=(0.004,))).endswith(">= 25 BELOW")
    text = row(measured("rnn", (3, 7, 10), VARIANTS["resets"], plain=(0.001,)))
    assert text.endswith("own <= 1.05 ABOVE") and text.split()[4] == "-"


def test_a_case_that_failed_parity_has_no_figures(measured):
    text = row(_failed(measured("lstm", (3, 7, 11), torch=(0.004,))))
    assert text.split()[:4] == ["lstm", "3", "7", "11"]
    assert text.endswith(
        "PARITY FAILED, not timed: weight_hh_l0 is 2.0e-03 from float64, torch.nn 2.0e-07, allowed 4.8e-07"
    )


def test_of_several_failures_one_that_is_no_number_is_named(measured):
    distances = (Distance("output", float("nan"), 2e-7, 5e-7), Distance("input", 1.0, 2e-7, 5e-7))
    assert "output is nan from float64" in row(replace(measured(), distances=distances, timings=None))


def test_the_summary_names_means_losses_and_missed_goals(measured):
    lines = summary(
        [
            measured("rnn", (1, 32, 100), torch=(0.06,)),
            measured("rnn", (8, 64, 100), torch=(0.0015,)),
            measured("rnn", (8, 64, 100), VARIANTS["packed"], tokens=200, torch=(0.006,), plain=(0.004,)),
            _failed(measured("gru", (3, 7, 11))),
        ]
    )
    assert lines[0].startswith(
        "rnn: geometric mean of the ratios 4.74, of the minima 9.49, over 2 shapes; worst 0.75 at 8x"
    )
    assert lines[1:3] == ["Slower than torch.nn: 1 of 3 cases:", "  rnn 8x64x100: 0.750"]
    assert lines[3:6] == [
        "Goals missed: 2 of 4:",
        "  rnn 8x64x100: torch/ours 0.750, goal 5",
        "  rnn 8x64x100 packed: own cost 2.000, goal at most 1.1",
    ]
    assert lines[6] == "Parity: failed in 1 of 4 cases:" and "gru 3x7x11: PARITY FAILED" in lines[7]
    assert len(lines) == 8


def test_the_summary_of_a_whole_grid(measured):
    shapes = [(shape.batch, shape.hidden, shape.steps) for shape in GRID]
    missed = summary([measured("lstm", shape, torch=(0.0024,)) for shape in shapes])
    assert "lstm: geometric mean of the ratios 1.20 (goal 1.5: BELOW)" in missed[0]
    assert "  lstm: geometric mean 1.20, goal 1.5" in missed
    reached = summary([measured("lstm", shape, torch=(0.02,)) for shape in shapes])
    assert "10.00 (goal 1.5: ok)" in reached[0]
    assert reached[1:] == [
        "Slower than torch.nn: 0 of 15 cases.",
        "Goals missed: 0 of 20.",
        "Parity: failed in 0 of 15 cases.",
    ]


def test_a_busy_machine_is_said(measured):
    quiet = measured(torch=(0.06,))
    assert quiet.timings is not None
    busy = replace(quiet, timings=replace(quiet.timings, other_load=0.64))
    unknown = replace(quiet, timings=replace(quiet.timings, other_load=None))
    assert not any("Disturbed" in line for line in summary([quiet, unknown]))
    assert any("Disturbed: during 1 of 2 cases" in line for line in summary([quiet, busy, unknown]))


def test_nothing_measured_is_no_error():
    assert summary([]) == ["Parity: failed in 0 of 0 cases."]


def test_json_keeps_everything_and_has_no_nan(measured):
    bad = replace(_failed(measured()), distances=(Distance("output", float("nan"), float("inf"), 5e-7),))
    good = measured(torch=(0.06, 0.05, 0.07))
    text = json.dumps(as_json({"processor": "x"}, FULL, [good, bad], complete=False), allow_nan=False)
    content = json.loads(text)
    first, second = content["rows"]
    assert content["complete"] is False and content["protocol"]["repetitions"] == 15
    assert first["timings"]["torch"]["seconds"] == [0.06, 0.05, 0.07]
    assert first["case"]["shape"] == {"batch": 1, "hidden": 32, "steps": 100}
    assert first["ratio"] == 30 and first["goals"][0] == {"figure": "torch/ours", "value": 30, "goal": 25, "met": True}
    assert second["distances"][0]["ours"] == "nan" and second["distances"][0]["torch"] == "inf"
    assert second["ratio"] is None


def test_what_the_columns_mean_is_said_within_a_line():
    assert max(map(len, EXPLANATION)) <= 120
    assert all(name in " ".join(EXPLANATION) for name in ("ratio", "min", "%product", "saved", "own", "other"))
    assert heading(VARIANTS["layers"]) == "-- layers: two layers"
    assert heading(GRID_ITSELF) == "-- one layer, full sequences, float32"
