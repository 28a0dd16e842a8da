import random

import pytest

from throughtime.records import MetricsRow, UpdateRow
from throughtime.report.course import Trend, course_of

RISING = [2.6, 2.3, 2.2, 2.25, 2.35, 2.5]
FALLING = [3.0, 2.5, 2.2, 2.0, 1.9, 1.8]


def _rows(validation, train=None):
    train = train or [3 * 0.8**place for place in range(len(validation))]
    return [
        MetricsRow(50 * (place + 1), place + 1.0, before, loss, 1e-3, 1.0, 0.0, 1.0, 1.0)
        for place, (before, loss) in enumerate(zip(train, validation, strict=True))
    ]


def test_a_validation_loss_that_rises_while_training_falls_on_is_overfitting():
    course = course_of(_rows(RISING), [], 3.0)
    assert course.trend is Trend.OVERFITTING and course.best is not None and course.best.update == 150
    assert course.change == pytest.approx((2.35 + 2.5) / 2 - 2.2) and course.last.validation_loss == 2.5
    diverging = _rows(RISING, [2.0, 1.9, 1.8, 1.9, 2.0, 2.1])
    assert course_of(diverging, [], 3.0).trend is Trend.SETTLED, "the training loss rises too"
    assert course_of(_rows(RISING[:4]), [], 3.0).trend is not Trend.OVERFITTING, "one validation tells nothing"
    assert course_of(_rows([2.6, 2.3, 2.2, 2.21, 2.22, 2.21]), [], 3.0).trend is Trend.SETTLED, "too little"


def test_a_loss_that_falls_to_the_end_asks_for_more():
    course = course_of(_rows(FALLING), [], 3.0)
    assert (course.trend, course.which) == (Trend.FALLING, "validation") and course.change == pytest.approx(0.2)
    assert course_of(_rows([3.0, 2.0, 1.5, 1.49, 1.48, 1.47]), [], 3.0).trend is Trend.SETTLED
    assert course_of(_rows([3.0, 2.0, 1.5, 1.2, 1.8, 1.3]), [], 3.0).trend is Trend.SETTLED, "the best is not the last"


@pytest.mark.parametrize("seed", range(10))
def test_noise_is_no_trend(seed):
    chance = random.Random(seed)
    losses = [1.0 + chance.gauss(0, 0.1) for _ in range(24)]
    assert course_of(_rows(losses), [], 1.0).trend is Trend.SETTLED


def test_with_few_validations_the_updates_tell():
    steep = [UpdateRow(place, 3 - place / 100, 1.0, 1.0, 0.0) for place in range(100)]
    course = course_of(_rows([2.5]), steep, 3.0)
    assert (course.trend, course.which) == (Trend.FALLING, "training") and course.change == pytest.approx(0.34)
    flat = [UpdateRow(place, 2.0, 1.0, 1.0, 0.0) for place in range(100)]
    assert course_of(_rows([2.5]), flat, 3.0).trend is Trend.SETTLED
    assert course_of(_rows([2.5]), steep[:20], 3.0).trend is Trend.UNKNOWN and course_of([], steep, None).best is None
