import numpy as np
import pytest
import torch

from throughtime.data.columns import Numbers
from throughtime.data.forecast_arrays import ForecastArrays
from throughtime.data.forecast_naive import naive_forecasts, naive_losses
from throughtime.data.laying import held_out_feed, training_feed
from throughtime.data.past import Around, Places, TargetScale, past_of
from throughtime.data.streams import ChunkLoader

STARTS, BREAKS = np.array([0, 7, 8, 17]), np.array([12])
AHEAD = 3


def _arrays(around: Around = "last", asked=False, season=2, cutoffs=None):
    chance = np.random.default_rng(0)
    values = chance.normal(50, 9, size=(17, 2)).round(1)
    values[[3, 10], 1] = np.nan
    places = Places.of(STARTS, BREAKS)
    scales = [TargetScale.fit(f"y{k}", Numbers(values[:, k]), places, around, season) for k in range(2)]
    return ForecastArrays(
        np.arange(17, dtype=np.float32)[:, None],
        values,
        STARTS,
        breaks=BREAKS,
        ahead=AHEAD,
        past=past_of(values, places, scales, around, season, "global"),
        around=around,
        season=season,
        center=np.array([50.0, 50.0]),
        counts=~np.isnan(values),
        cutoffs=np.ones(17, dtype=bool) if cutoffs is None else cutoffs,
        known=np.arange(17 + 3 * AHEAD, dtype=np.float32)[:, None] * 10,
        logs=np.zeros(2, dtype=bool),
        asked=asked,
    )


@pytest.mark.parametrize("around", ["nothing", "last", "season", "moved", "zero"])
def test_each_value_after_each_cut_off_counts_once_in_every_laying(around):
    arrays = _arrays(around)
    values, ends = arrays.targets, Places.of(STARTS, BREAKS).ends
    expected = {
        (step, ahead, k): values[step + ahead, k]
        for step in range(17)
        for ahead in range(1, AHEAD + 1)
        for k in range(2)
        if step + ahead < ends[step] and not np.isnan(values[step + ahead, k])
    }
    assert arrays.counted == len(expected)
    for laid in (held_out_feed(arrays, 9), held_out_feed(arrays, 4), training_feed(arrays, 0, 4, 2)):
        seen = {}
        for chunk in ChunkLoader(laid.feed, 4):
            mask = torch.ones_like(chunk.targets[:, :, :AHEAD]).bool() if chunk.mask is None else chunk.mask
            told = chunk.targets
            numbers = told[:, :, :AHEAD] * told[:, :, [2 * AHEAD]] + told[:, :, AHEAD : 2 * AHEAD]
            assert chunk.origin is not None
            for place in mask.nonzero().tolist():
                series, step = chunk.origin[place[0], place[1]].tolist()
                seen[int(STARTS[series]) + step, place[2] + 1, place[3]] = float(numbers[tuple(place)])
        assert seen.keys() == expected.keys()
        for key, value in seen.items():
            assert value == pytest.approx(expected[key], rel=1e-5)


def test_what_is_known_of_a_step_ahead_stands_beside_its_cut_off():
    chunk = next(iter(ChunkLoader(held_out_feed(_arrays(season=1), 9).feed, 20)))
    assert chunk.origin is not None
    for row in range(chunk.inputs.shape[1]):
        for step, (series, _) in enumerate(chunk.origin[:, row].tolist()):
            if series >= 0:
                own, *ahead = chunk.inputs[step, row].tolist()
                assert ahead == [10 * (own + AHEAD * series + h) for h in range(1, AHEAD + 1)]


def test_where_forecasts_are_asked_for_all_steps_count_after_the_cut_offs_alone():
    cutoffs = np.zeros(17, dtype=bool)
    cutoffs[[6, 14]] = True
    arrays = _arrays(asked=True, cutoffs=cutoffs)
    assert arrays.counted == 2 * AHEAD * 2
    chunk = next(iter(ChunkLoader(held_out_feed(arrays, 9).feed, 20)))
    assert chunk.mask is not None and int(chunk.mask.sum()) == 12
    assert chunk.targets.dtype == torch.float64 and bool((chunk.targets[:, :, :AHEAD] == 0).all())


def test_naive_forecasts_are_those_of_the_past():
    arrays = _arrays()
    y = arrays.targets[:, 0]
    made = {name: forecast[0, :, 0].tolist() for name, forecast in naive_forecasts(arrays, np.array([4])).items()}
    assert made["naive"] == [y[4]] * 3
    assert made["seasonal naive"] == [y[3], y[4], y[3]]
    assert made["drift"] == pytest.approx([y[4] + h * (y[4] - y[0]) / 4 for h in (1, 2, 3)])
    assert made["mean"] == pytest.approx([y[:5].mean()] * 3)
    losses = naive_losses(arrays)
    assert list(losses.values()) == sorted(losses.values(), reverse=True)
    errors = []
    for at in range(17):
        for h in range(1, AHEAD + 1):
            for k in range(2):
                if at + h < arrays.past.places.ends[at] and not np.isnan(arrays.targets[at + h, k]):
                    errors.append(abs(arrays.targets[at + h, k] - arrays.past.last[at, k]) / arrays.past.unit[at, k])
    assert losses["naive"] == pytest.approx(np.mean(errors))
