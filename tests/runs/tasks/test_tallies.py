"""Sums over predictions, against all predictions at once."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from throughtime.runs.tasks import tallies
from throughtime.runs.tasks.tallies import ClassTally, NumberTally

IDS = [f"M{i}" for i in range(9)]


def _drawn(seed, targets, size):
    chance = np.random.default_rng(seed)
    outputs = chance.normal(size=(targets, size))
    places = np.stack((chance.integers(0, 9, targets), np.arange(targets)), axis=1)
    return outputs, places, chance


def _in_parts(tally, cuts, *arrays):
    for a, b in zip([0, *cuts], [*cuts, len(arrays[0])], strict=True):
        tally.add(*(values[a:b] for values in arrays))
    return tally


@given(st.integers(0, 99), st.lists(st.integers(0, 60), max_size=4).map(sorted))
@settings(max_examples=25)
def test_an_examination_does_not_depend_on_the_chunks(seed, cuts):
    outputs, places, chance = _drawn(seed, 60, 3)
    classes, numbers = chance.integers(0, 3, 60), chance.normal(size=60)
    losses = chance.integers(0, 5, 60).astype(float)
    for make, targets, told in (
        (lambda: ClassTally("abc"), classes, outputs),
        (lambda: NumberTally(2.0, 3.0), numbers, outputs[:, :1]),
    ):
        one, other = (_in_parts(make(), parts, told, targets, losses, places) for parts in ([], cuts))
        first, second = (tally.examination(tally.metrics("loss", "nats"), IDS) for tally in (one, other))
        assert first.confusion == second.confusion and first.worst == second.worst and first.scatter == second.scatter
        for metric, same in zip(first.metrics, second.metrics, strict=True):
            assert metric.value == pytest.approx(same.value)
        assert first.errors[0].names == pytest.approx(second.errors[0].names)
        assert first.errors[0].errors == pytest.approx(second.errors[0].errors)


def test_classes_are_counted_by_hand():
    tally = ClassTally(["no", "yes"])
    outputs = np.log(np.array([[0.9, 0.1], [0.4, 0.6], [0.25, 0.75], [0.45, 0.55]]))
    targets, losses = np.array([0, 0, 1, 1]), np.array([0.1, 0.9, 0.3, 0.6])
    tally.add(outputs, targets, losses, np.array([[4, 3], [1, 2], [2, 5], [0, 1]]))
    examined = tally.examination(tally.metrics("cross-entropy", "nats"), IDS)
    assert examined.confusion.counts == [[1, 1], [0, 2]] and examined.confusion.classes == ["no", "yes"]
    assert [(one.low, one.count) for one in examined.calibration if one.count] == [
        (0.5, 1),
        (0.6, 1),
        (0.7, 1),
        (0.9, 1),
    ]
    assert examined.calibration[6].predicted == pytest.approx(0.6) and examined.calibration[6].right == 0
    assert math.isnan(examined.calibration[0].right)
    worst = examined.worst
    assert worst.numbers == ["its probability", "that of the true class", "loss"], "each series has a single target"
    assert [case.words for case in worst.cases] == [
        ["M1", "no", "yes"], ["M0", "yes", "yes"], ["M2", "yes", "yes"], ["M4", "no", "no"]
    ]  # fmt: skip
    assert worst.cases[0].numbers == pytest.approx([0.6, 0.4, 0.9])
    assert examined.errors == [], "of a single class per series"
    assert [metric.name for metric in examined.metrics] == ["cross-entropy", "accuracy", "balanced accuracy", "mean F1"]
    assert examined.metrics[0].value == pytest.approx(0.475) and examined.metrics[1].value == 0.75


def test_steps_of_a_series_share_their_error():
    tally = ClassTally(["no", "yes"])
    outputs, targets = np.array([[2.0, 0], [2, 0], [0, 2], [2, 0]]), np.array([0, 1, 1, 1])
    tally.add(outputs, targets, np.arange(4.0), np.array([[0, 0], [0, 1], [0, 2], [1, 0]]))
    examined = tally.examination(tally.metrics("loss", ""), ["a\tb", 8])
    (errors,) = examined.errors
    assert (errors.names, errors.errors, errors.counts) == (["8", r"'a\tb'"], [1.0, pytest.approx(1 / 3)], [1, 3])
    assert examined.worst.numbers[0] == "step" and examined.worst.cases[1].numbers[0] == 2.0


def test_numbers_are_in_their_unit():
    tally = NumberTally(10.0, 2.0)
    tally.add(np.array([[0.0], [1.0]]), np.array([1.0, 1.5]), np.array([4.0, 1.0]), np.array([[3, 0], [1, 0]]))
    examined = tally.examination(tally.metrics("MSE", ""), IDS)
    assert (examined.scatter.true, examined.scatter.predicted, examined.scatter.total) == (
        [12.0, 13.0],
        [10.0, 12.0],
        2,
    )
    assert [case.words for case in examined.worst.cases] == [["M3"], ["M1"]]
    assert examined.worst.cases[0].numbers == [12.0, 10.0, -2.0, 4.0]
    assert examined.errors[0].errors == [2.0, 1.0] and examined.errors[0].names == ["M3", "M1"]
    assert {metric.name: metric.value for metric in examined.metrics}["MAE"] == 1.5


def test_the_size_of_an_examination_is_bounded(monkeypatch):
    for name, most in (("_PAIRS", 16), ("_SERIES", 5), ("_CLASSES", 4), ("_WORST", 3)):
        monkeypatch.setattr(tallies, name, most)
    outputs, places, chance = _drawn(3, 100, 7)
    numbers = NumberTally(0.0, 1.0)
    targets = np.arange(100.0)
    _in_parts(numbers, [1, 50], outputs[:, :1], targets, chance.random(100), places)
    examined = numbers.examination(numbers.metrics("MSE", ""), [])
    assert examined.scatter.true == list(range(0, 100, 8)) and examined.scatter.total == 100
    assert len(examined.errors[0].names) == 5 and examined.errors[0].total == 9
    assert examined.errors[0].errors == sorted(examined.errors[0].errors, reverse=True)
    assert len(examined.worst.cases) == 3
    classes = ClassTally("abcdefg")
    targets = chance.permutation(np.repeat(np.arange(7), (1, 30, 2, 30, 2, 30, 5)))
    classes.add(outputs * 0.01 + 5 * np.eye(7)[targets], targets, chance.random(100), places)
    folded = classes.examination(classes.metrics("loss", ""), IDS).confusion
    assert (folded.classes, folded.folded) == (["b", "d", "f", "others"], 4)
    assert folded.counts == np.diag([30, 30, 30, 10]).tolist()
