import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from throughtime.data.packing import cut_evenly, dealt, packed_whole

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=40)


def _rows(packing):
    """The series of each row, with the steps of them that stand there."""
    series, step = packing.places(0, packing.steps)
    return [list(zip(series[:, row].tolist(), step[:, row].tolist(), strict=True)) for row in range(packing.rows)]


@given(LENGTHS, st.integers(1, 30), st.integers(0, 40))
def test_whole_series_stay_whole_and_none_is_lost(lengths, most, likely):
    lengths = np.array(lengths)
    packing = packed_whole(np.arange(len(lengths)), lengths, most, likely)
    assert 1 <= packing.rows <= min(most, len(lengths))
    rows = [[place for place in row if place[0] >= 0] for row in _rows(packing)]
    assert all(row and row[0][1] == 0 for row in rows)
    everything = [place for row in rows for place in row]
    assert sorted(everything) == [(series, step) for series, length in enumerate(lengths) for step in range(length)]
    assert packing.slots - lengths.sum() == sum((-1, -1) == place for row in _rows(packing) for place in row)


@given(LENGTHS, st.integers(1, 30))
def test_rows_of_whole_series_are_at_most_a_series_and_a_bundle_longer_than_their_mean(lengths, most):
    lengths = np.array(lengths)
    packing = packed_whole(np.arange(len(lengths)), lengths, most)
    assert packing.steps <= lengths.sum() / packing.rows + 1.25 * lengths.max() + lengths.sum() / most / 8


@given(LENGTHS, st.data())
def test_rows_of_a_cut_line_differ_by_a_step(lengths, data):
    lengths = np.array(lengths)
    rows = data.draw(st.integers(1, int(lengths.sum())))
    series = data.draw(st.permutations(range(len(lengths))))
    packing = cut_evenly(np.array(series), lengths[series], rows)
    filled = [[place for place in row if place[0] >= 0] for row in _rows(packing)]
    assert [place for row in filled for place in row] == [(i, step) for i in series for step in range(lengths[i])]
    assert {packing.steps - len(row) for row in filled} <= {0, 1} and packing.rows == rows


def test_a_line_is_cut_where_series_end_if_they_are_equally_long():
    packing = cut_evenly(np.arange(12), np.full(12, 5), 4)
    assert [row[0] for row in _rows(packing)] == [(0, 0), (3, 0), (6, 0), (9, 0)]


def test_places_can_be_asked_for_from_any_step_on():
    packing = cut_evenly(np.array([2, 0, 1]), np.array([4, 2, 5]), 3)
    series, step = packing.places(0, 4)
    assert series.T.tolist() == [[2, 2, 2, -1], [2, 0, 0, 1], [1, 1, 1, 1]]
    assert step.T.tolist() == [[0, 1, 2, -1], [3, 0, 1, 0], [1, 2, 3, 4]]
    later = packing.places(2, 2)
    assert np.array_equal(later[0], series[2:]) and np.array_equal(later[1], step[2:])


def test_a_series_longer_than_all_others_together_stands_beside_them():
    packing = packed_whole(np.arange(101), np.array([1000] + [10] * 100), 8)
    assert (packing.rows, packing.steps, packing.slots) == (2, 1000, 2000)


def test_a_likely_number_of_rows_is_taken_where_it_is_good():
    lengths = np.full(24, 10)
    assert packed_whole(np.arange(24), lengths, 20).rows == 12
    assert packed_whole(np.arange(24), lengths, 20, likely=8).rows == 8
    assert packed_whole(np.arange(24), lengths, 20, likely=7).rows == 12


@given(LENGTHS, st.data(), st.integers(0, 5))
def test_every_hand_has_series_of_all_lengths(lengths, data, seed):
    lengths = np.array(lengths)
    count = data.draw(st.integers(1, len(lengths)))
    hands = dealt(lengths, count, np.random.default_rng(seed))
    assert len(hands) == count and sorted(np.concatenate(hands).tolist()) == list(range(len(lengths)))
    assert max(map(len, hands)) - min(map(len, hands)) <= 1
    ranks = np.sort(lengths)
    for hand in hands:
        for place, length in enumerate(np.sort(lengths[hand])):
            assert ranks[place * count] <= length <= ranks[min((place + 1) * count, len(ranks)) - 1]


def test_hands_are_random():
    lengths = np.tile([3, 4], 20)
    first, second = (dealt(lengths, 4, np.random.default_rng(seed)) for seed in (1, 2))
    assert [hand.tolist() for hand in first] != [hand.tolist() for hand in second]
    held = np.zeros(40)
    for seed in range(400):
        held[dealt(lengths, 4, np.random.default_rng(seed))[0]] += 1
    assert held == pytest.approx(np.full(40, 100), abs=45)  # five standard deviations


def test_any_two_series_can_come_into_a_hand():
    """Those next to each other in the data too, which are of the same length."""
    hands = [dealt(np.full(8, 5), 4, np.random.default_rng(seed)) for seed in range(100)]
    assert any({0, 1} <= set(hand.tolist()) for of_seed in hands for hand in of_seed)
