"""The counting baselines of an online run, against counts made all at once."""

import copy
import math
import random

import pytest

from throughtime.data.counting import Counting


def _by_hand(data, t):
    """-ln p of byte t from the bytes before it, counted anew."""
    single = (data[:t].count(data[t]) + 1) / (t + 256)
    pairs = [data[i] for i in range(1, t) if data[i - 1] == data[t - 1]] if t else []
    return -math.log(single), -math.log((pairs.count(data[t]) + single) / (len(pairs) + 1))


def test_each_byte_is_predicted_from_those_before_it():
    chance = random.Random(3)
    data = [chance.choice([0, 7, 7, 255]) for _ in range(60)]
    counting = Counting()
    for t, byte in enumerate(data):
        assert counting.losses(byte) == pytest.approx(_by_hand(data, t), rel=1e-12)


def test_the_chances_of_all_bytes_sum_to_one():
    counting = Counting()
    for byte in (3, 1, 3, 3):
        counting.losses(byte)
    chances = []
    for byte in range(256):
        trial = Counting()
        for before in (3, 1, 3, 3):
            trial.losses(before)
        chances.append([math.exp(-loss) for loss in trial.losses(byte)])
    assert [sum(column) for column in zip(*chances, strict=True)] == pytest.approx([1.0, 1.0], rel=1e-12)


def test_it_goes_on_from_its_state():
    whole, resumed = Counting(), Counting()
    for byte in b"over and":
        whole.losses(byte)
    resumed.restore(copy.deepcopy(whole.state()))
    assert [resumed.losses(byte) for byte in b" over"] == [whole.losses(byte) for byte in b" over"]
