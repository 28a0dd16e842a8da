import random
from types import SimpleNamespace

import pytest

from throughtime.records import MetricsRow
from throughtime.runs.recording.stream_history import MOST, SHORTEST, StreamHistory, Tally


def _history(events, history=None):
    history = history or StreamHistory()
    for number in events:
        history.add(number * 1.0, (number * 2.0, 1.0))
        if number % 5 == 4:
            history.note_update(SimpleNamespace(total_norm=number * 3.0, clipped=number % 2))
        history.pass_time(0.25)
    return history


def test_a_row_is_the_mean_over_its_window():
    rows = _history(range(SHORTEST * 2)).rows(0.5)
    assert [row.update for row in rows] == [12, 25]
    assert [row.train_loss for row in rows] == [31.5, 95.5]
    assert rows[1].seconds == SHORTEST * 2 * 0.25 and rows[1].tokens_per_second == 4 and rows[1].learning_rate == 0.5
    norms = [3.0 * number for number in range(SHORTEST) if number % 5 == 4]
    assert rows[0].gradient_norm == pytest.approx(sum(norms) / 12) and rows[0].clipped == 0.5


@pytest.mark.parametrize(("rest", "windows"), [(0, 3), (31, 3), (32, 4)])
def test_a_short_rest_is_part_of_the_window_before(rest, windows):
    history = _history(range(3 * SHORTEST + rest))
    assert len(history.rows(0.5)) == windows
    assert history.latest().events == (rest if windows == 4 else SHORTEST + rest)


def test_before_the_first_event_there_is_no_row():
    assert StreamHistory().rows(0.5) == [] and StreamHistory().latest() == Tally()


def test_the_windows_stay_as_many_and_lose_nothing():
    history = _history(range(SHORTEST * MOST * 3))
    rows = history.rows(0.5)
    assert MOST / 2 <= len(rows) <= MOST
    assert history.whole.events == SHORTEST * MOST * 3
    assert sum(row.train_loss for row in rows) / len(rows) == pytest.approx(history.whole.mean()[0])
    assert rows[-1].update == history.whole.updates


def test_a_history_that_is_taken_up_anywhere_is_the_one_that_was_not_interrupted():
    chance = random.Random(3)
    whole = _history(range(5000)).rows(0.5)
    for _ in range(5):
        place = chance.randrange(1, 5000)
        again = StreamHistory()
        again.load_state_dict(_history(range(place)).state_dict(), [], 0)
        assert _history(range(place, 5000), again).rows(0.5) == whole


def test_the_rows_of_version_0_1_0_stay():
    row = MetricsRow(7, 0.0, 2.0, 2.0, 0.1, 1.0, 0.0, 3.0, 4.0)
    history = StreamHistory()
    history.load_state_dict(vars(Tally(events=9, seconds=6.0)), [row], 8)
    again = StreamHistory()
    again.load_state_dict(_history(range(40), history).state_dict(), [], 99)
    rows = again.rows(0.5)
    assert rows[0] == row and len(rows) == 2
    assert rows[1].update == 8 + 8 and rows[1].seconds == 16.0
