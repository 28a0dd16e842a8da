from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from throughtime.data.columns import Numbers
from throughtime.data.past import Around, Places, TargetScale, departures, moved_departures, past_of
from throughtime.errors import InputFileError

VALUES = st.one_of(st.floats(-1e6, 1e6), st.just(float("nan")))
AROUND: tuple[Around, ...] = ("nothing", "last", "season", "moved", "zero")


@st.composite
def series_sets(draw):
    """Values of one to four series [steps, 1], end to end, with a gap somewhere, and a season."""
    lengths = draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
    values = np.array(draw(st.lists(VALUES, min_size=sum(lengths), max_size=sum(lengths))))[:, None]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    gap = draw(st.integers(0, len(values) - 1))
    return values, Places.of(starts, np.array([gap])), draw(st.integers(1, 4))


def _scale(values, places, around: Around = "last", season=1):
    return TargetScale.fit("y", Numbers(values[:, 0]), places, around, season)


@settings(max_examples=40)
@given(series_sets(), st.sampled_from(AROUND), st.sampled_from(["none", "global", "series"]), st.data())
def test_nothing_of_the_past_depends_on_what_comes_later(made, around, by, data):
    values, places, season = made
    if np.isnan(values).all():
        values[0] = 1.5
    scales = [_scale(values, places, around, season)]
    before = past_of(values, places, scales, around, season, by)
    cut = data.draw(st.integers(0, len(values) - 1))
    changed = values.copy()
    changed[cut:] = np.where(np.isnan(changed[cut:]), 7.0, -3 * changed[cut:] + 11)
    after = past_of(changed, places, scales, around, season, by)
    for name in ("last", "mean", "scale", "unit"):
        np.testing.assert_array_equal(getattr(before, name)[:cut], getattr(after, name)[:cut])
    assert (before.scale > 0).all() and (before.unit > 0).all()


@settings(max_examples=40)
@given(series_sets(), st.sampled_from(AROUND))
def test_the_past_of_a_series_is_the_same_alone_as_among_others(made, around):
    values, places, season = made
    if np.isnan(values).all():
        values[0] = 1.5
    scales = [_scale(values, places, around, season)]
    together = past_of(values, places, scales, around, season, "series")
    for begin, end in pairwise(places.starts.tolist()):
        breaks = np.unique(places.begins[begin:end])[1:] - begin
        alone = Places.of(np.array([0, end - begin]), breaks)
        past = past_of(values[begin:end], alone, scales, around, season, "series")
        np.testing.assert_array_equal(past.scale, together.scale[begin:end])
        np.testing.assert_array_equal(past.last, together.last[begin:end])


def test_last_values_and_means_are_those_so_far():
    values = np.array([[np.nan], [2.0], [np.nan], [6.0], [np.nan], [5.0]])
    places = Places.of(np.array([0, 4, 6]))
    past = past_of(values, places, [_scale(values, places)], "last", 1, "global")
    mean = np.nanmean(values)
    np.testing.assert_allclose(past.last[:, 0], np.array([mean, 2, 2, 6, mean, 5]))
    np.testing.assert_allclose(past.mean[:, 0], np.array([mean, 2, 2, 4, mean, 5]))


def test_seasonal_forecasts_are_whole_seasons_back_and_never_across_a_gap():
    values = np.arange(1.0, 13.0)[:, None]
    places = Places.of(np.array([0, 12]), np.array([7]))
    past = past_of(values, places, [_scale(values, places)], "season", 3, "global")
    ahead = np.array([1, 2, 3, 4])
    assert past.seasonal(np.array([5]), ahead, 3)[0, :, 0].tolist() == [4, 5, 6, 4]
    assert past.seasonal(np.array([8]), ahead, 3)[0, :, 0].tolist() == [9, 8, 9, 9], "step 7 begins anew: 8 is value 9"


def test_departures_are_from_what_they_are_around():
    values = np.array([1.0, 4.0, 2.0, 5.0, 9.0, 3.0])[:, None]
    places = Places.of(np.array([0, 6]))
    nan = np.nan
    cases: dict[Around, list[float]] = {
        "zero": [1, 4, 2, 5, 9, 3],
        "last": [nan, 3, -2, 3, 4, -6],
        "season": [nan, nan, 1, 1, 7, -2],
        "moved": [nan, nan, nan, 0, 6, -9],
        "nothing": [nan, 3, -0.5, 5 - 7 / 3, 6, -1.2],
    }
    for around, expected in cases.items():
        np.testing.assert_allclose(departures(values, places, around, 2)[:, 0], expected)
    np.testing.assert_allclose(moved_departures(values, places, 2, 3)[:, 0], [nan] * 5 + [3 - 4 - 1])


def test_the_scale_of_a_series_grows_from_the_usual_to_its_own():
    """A series of other size than the usual: its scale is the usual share of its size, then its own change."""
    values = np.concatenate([np.tile([10.0, 12.0], 20), np.tile([1000.0, 1002.0], 20)])[:, None]
    places = Places.of(np.array([0, 40, 80]))
    past = past_of(values, places, [_scale(values, places)], "last", 1, "series")
    assert past.scale[40, 0] == pytest.approx(1000 * np.median([2 / 11, 2 / 1001]))
    assert past.scale[79, 0] < 12 and past.scale[39, 0] == pytest.approx(2, rel=0.1)


def test_a_target_without_values_is_refused():
    with pytest.raises(InputFileError, match="The target y is missing everywhere in the training part"):
        _scale(np.full((3, 1), np.nan), Places.of(np.array([0, 3])))
