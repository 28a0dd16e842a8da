import numpy as np
import pytest

from throughtime.data import naive
from throughtime.data.scores import ClassScores, NumberScores


def _of_classes(came, predicted, count):
    scores = ClassScores(count)
    scores.add(np.array(predicted), np.array(came))
    return scores


def test_scores_of_classes_by_hand():
    scores = _of_classes([0, 0, 0, 1, 2, 2], [0, 0, 1, 1, 0, 2], 4)
    assert scores.matrix.tolist() == [[2, 1, 0, 0], [0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]
    assert scores.named() == {
        "accuracy": pytest.approx(4 / 6),
        "balanced accuracy": pytest.approx((2 / 3 + 1 + 1 / 2) / 3),
        "mean F1": pytest.approx((4 / 6 + 2 / 3 + 2 / 3) / 3),
    }


def test_scores_of_numbers_by_hand():
    scores = NumberScores()
    scores.add(np.array([1.0, 4.0, 4.0]), np.array([1.0, 3.0, 5.0]))
    assert scores.named() == {
        "RMSE": pytest.approx((2 / 3) ** 0.5), "MAE": pytest.approx(2 / 3), "R²": pytest.approx(1 - 2 / 8)
    }  # fmt: skip
    scores = NumberScores()
    scores.add(np.array([1.0, 2.0]), np.ones(2))
    assert np.isnan(scores.named()["R²"])


def test_a_weight_of_2_counts_as_twice_the_same():
    chance = np.random.default_rng(1)
    weights = np.array([2, 0, 1, 3, 1.0])
    twice = np.repeat(np.arange(5), weights.astype(int))
    classes, predicted = np.array([0, 2, 1, 1, 2]), np.array([0, 1, 1, 0, 2])
    values, told = chance.normal(size=5), chance.normal(size=5)
    for kind, came, guessed in ((lambda: ClassScores(3), classes, predicted), (NumberScores, values, told)):
        weighted, repeated = kind(), kind()
        weighted.add(guessed[:2], came[:2], weights[:2])
        weighted.add(guessed[2:], came[2:], weights[2:])
        repeated.add(guessed[twice], came[twice])
        assert weighted.named() == pytest.approx(repeated.named())
    shares = np.array([0.5, 0.3, 0.2])
    assert naive.guessing_loss(shares, classes, weights) == pytest.approx(naive.guessing_loss(shares, classes[twice]))


def test_scores_do_not_depend_on_the_parts_in_which_predictions_come():
    chance = np.random.default_rng(2)
    came, told = 1e6 + chance.normal(size=37), 1e6 + chance.normal(size=37)
    classes, guessed = chance.integers(0, 5, 37), chance.integers(0, 5, 37)
    numbers, parts = NumberScores(), ClassScores(5)
    for a, b in ((0, 1), (1, 1), (1, 20), (20, 37)):
        numbers.add(told[a:b], came[a:b])
        parts.add(guessed[a:b], classes[a:b])
    variance = np.square(came - came.mean()).sum()
    assert numbers.named()["R²"] == pytest.approx(1 - np.square(told - came).sum() / variance, rel=1e-9)
    assert numbers.named()["MAE"] == pytest.approx(abs(told - came).mean())
    assert parts.named() == _of_classes(classes, guessed, 5).named()
