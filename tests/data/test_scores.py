import numpy as np
import pytest

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
