"""Targets as numbers, and naive predictions of them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from throughtime.data.columns import Numbers, Words, column_of
from throughtime.errors import InputFileError
from throughtime.runs.tasks.answers import ClassAnswers, NumberAnswers

CELLS = st.one_of(
    st.lists(st.one_of(st.none(), st.sampled_from(["b", "a", "10", "9", "ü"])), min_size=1, max_size=12),
    st.lists(st.one_of(st.none(), st.integers(-3, 12)), min_size=1, max_size=12),
)


@given(CELLS)
def test_classes_are_numbered_as_cell_by_cell(cells):
    column = column_of(cells)
    present = [str(cell) for cell in cells if cell is not None]
    if len(set(present)) < 2:
        with pytest.raises(InputFileError, match="the single class|no class"):
            ClassAnswers.fit("kind", column)
        return
    answers = ClassAnswers.fit("kind", column)
    assert sorted(answers.levels) == sorted(set(present)) and answers.whole == isinstance(column, Numbers)
    numbers = [float(level) for level in answers.levels if level.lstrip("-").isdigit()]
    assert numbers == sorted(numbers)
    classes = answers.numbers(column)
    assert [answers.levels[number] for number, cell in zip(classes, cells, strict=True) if cell is not None] == present
    assert all(number == 0 for number, cell in zip(classes, cells, strict=True) if cell is None)
    shares = [(present.count(level) + 1) / (len(present) + len(answers.levels)) for level in answers.levels]
    assert answers.shares == pytest.approx(shares)


def test_classes_of_numbers_and_of_words_are_the_same_classes():
    answers = ClassAnswers.fit("kind", Numbers(np.array([1.0, 2.0, math.nan, 2.0]), whole=True))
    words = Words(np.array([1, 0, -1, 1], dtype=np.int32), ("2", "1"))
    assert answers.numbers(words).tolist() == [0, 1, 0, 0]


def test_an_unknown_class_is_named_and_a_level_without_a_row_is_not():
    answers = ClassAnswers.fit("kind", column_of(["a", "b"]))
    column = Words(np.array([0, 2], dtype=np.int32), ("a", "gone", "b"))
    assert answers.numbers(column).tolist() == [0, 1]
    with pytest.raises(InputFileError, match="has the class gone, which the model never saw.*a, b"):
        answers.numbers(Words(np.array([0, 1], dtype=np.int32), ("a", "gone", "b")))


def test_naive_metrics_are_those_of_the_predictions():
    answers = ClassAnswers.fit("kind", column_of(["a", "b", "b"]))
    name, constant = answers.constant(4)
    metrics = answers.naive_metrics({name: constant, "previous": np.array([0, 1, 1, 0])}, np.array([1, 1, 0, 0]))
    assert name == "majority" and metrics["accuracy"] == {"majority": 0.5, "previous": 0.5}
    assert metrics["mean F1"] == {"majority": pytest.approx(1 / 3), "previous": 0.5}
    numbers = NumberAnswers("load", 10.0, 2.0)
    name, constant = numbers.constant(2)
    metrics = numbers.naive_metrics({name: constant}, np.array([1.0, -2.0]))
    assert metrics["MAE"] == {"mean": 3.0} and metrics["R²"]["mean"] == pytest.approx(1 - 20 / 18)
