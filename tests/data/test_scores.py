import numpy as np
import pytest

from throughtime.data import naive, scores


def test_scores_of_classes_by_hand():
    matrix = scores.confusion(np.array([0, 0, 0, 1, 2, 2]), np.array([0, 0, 1, 1, 0, 2]), 4)
    assert matrix.tolist() == [[2, 1, 0, 0], [0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]
    assert scores.accuracy(matrix) == pytest.approx(4 / 6)
    assert scores.balanced_accuracy(matrix) == pytest.approx((2 / 3 + 1 + 1 / 2) / 3)
    assert scores.mean_f1(matrix) == pytest.approx((4 / 6 + 2 / 3 + 2 / 3) / 3)


def test_scores_of_numbers_by_hand():
    values, errors = np.array([1.0, 3.0, 5.0]), np.array([0.0, 1.0, -1.0])
    assert scores.root_mean_square(errors) == pytest.approx((2 / 3) ** 0.5)
    assert scores.explained_share(errors, values) == pytest.approx(1 - 2 / 8)
    assert np.isnan(scores.explained_share(errors, np.ones(3)))


def test_a_weight_of_2_counts_as_twice_the_same():
    chance = np.random.default_rng(1)
    weights = np.array([2, 0, 1, 3, 1.0])
    twice = np.repeat(np.arange(5), weights.astype(int))
    classes, predicted = np.array([0, 2, 1, 1, 2]), np.array([0, 1, 1, 0, 2])
    matrix = scores.confusion(classes, predicted, 3, weights)
    assert matrix.tolist() == scores.confusion(classes[twice], predicted[twice], 3).tolist()
    values, errors = chance.normal(size=5), chance.normal(size=5)
    assert scores.root_mean_square(errors, weights) == pytest.approx(scores.root_mean_square(errors[twice]))
    explained = scores.explained_share(errors, values, weights)
    assert explained == pytest.approx(scores.explained_share(errors[twice], values[twice]))
    shares = np.array([0.5, 0.3, 0.2])
    assert naive.guessing_loss(shares, classes, weights) == pytest.approx(naive.guessing_loss(shares, classes[twice]))


def test_shares_and_the_loss_of_guessing():
    shares = naive.shares_of(np.array([0, 0, 2]), 4)
    np.testing.assert_allclose(shares, np.array([3, 1, 2, 1]) / 7)
    assert naive.guessing_loss(shares, np.array([0, 3])) == pytest.approx(-(np.log(3 / 7) + np.log(1 / 7)) / 2)


def test_summaries_are_means_and_spreads_of_each_series():
    values = np.array([[1, 10], [3, 10], [7, 5]], dtype=np.float32)
    np.testing.assert_allclose(naive.summaries(values, np.array([0, 2, 3])), [[2, 10, 1, 0], [7, 5, 0, 0]], atol=1e-9)


def test_the_nearest_is_that_of_brute_force():
    chance = np.random.default_rng(0)
    known, asked = chance.normal(size=(40, 3)), chance.normal(size=(25, 3))
    brute = ((asked[:, None] - known[None]) ** 2).sum(axis=-1).argmin(axis=1)
    assert naive.nearest(known, asked).tolist() == brute.tolist() and len(set(brute)) > 5
