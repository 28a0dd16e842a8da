import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from throughtime.data.columns import Numbers
from throughtime.data.series import Origin, SeriesSet
from throughtime.data.time_split import ends_held_out
from throughtime.errors import InputFileError


def _series(lengths):
    steps = sum(lengths)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    times = np.arange(steps).astype("datetime64[s]").astype("datetime64[ns]")
    columns = {"y": Numbers(np.arange(float(steps)))}
    ids = [f"s{number}" for number in range(len(lengths))]
    return SeriesSet(Origin("a.csv", 1, ""), ids, starts, columns, times=times, lines=np.arange(steps))


@given(st.lists(st.integers(1, 30), min_size=1, max_size=5), st.floats(0.01, 0.9), st.integers(1, 20))
def test_the_parts_share_no_target_and_lose_none(lengths, share, ahead):
    if max(lengths) < 4:
        lengths = [*lengths, 4]
    series = _series(lengths)
    training, held_out = ends_held_out(series, share, ahead)
    trained = {training.columns["y"].cell(row) for row in range(training.steps)}
    scored = [held_out.columns["y"].cell(row) for row in np.flatnonzero(held_out.scored).tolist()]
    assert trained | set(scored) == set(range(series.steps)) and not trained & set(scored)
    assert len(scored) == series.steps - training.steps
    assert training.ids == series.ids and (training.lengths >= 1).all()
    assert training.times is not None and len(training.times) == training.steps


def test_a_forecast_fits_into_the_held_out_part_where_a_third_of_the_series_has_room():
    training, held_out = ends_held_out(_series([100, 12, 3]), 0.1, 15)
    assert training.lengths.tolist() == [85, 8, 3]
    assert held_out.ids == ["s0", "s1"] and held_out.scored_from is not None
    assert held_out.scored_from.tolist() == [85, 8]


def test_series_that_are_all_short_are_refused():
    with pytest.raises(InputFileError, match=r"a.csv holds no series of 4 steps or more, so no end can be held out"):
        ends_held_out(_series([3, 2]), 0.1, 1)
