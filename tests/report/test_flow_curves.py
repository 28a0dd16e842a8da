import math
from dataclasses import replace

import pytest
from report.drawn import axes_of, lines_of
from report.records_of import layer, matrix

from throughtime.records import Horizon, LagShare, Spectrum
from throughtime.report.flow_curves import by_lag, by_step, horizon_phrase, shares


def test_the_gradient_by_step_with_its_members_and_the_first_diagnosis():
    first, last = layer(decay=0.5), layer()
    exhibit = by_step([first], [last])
    lines = {name: high for name, (_, high) in lines_of(exhibit.panels[0]).items()}
    assert lines == {
        "all": last.by_step,
        "h": last.by_member["h"],
        "c": last.by_member["c"],
        "first diagnosis": first.by_step,
    }
    assert axes_of(exhibit.panels[0]).get_yscale() == "log"
    assert exhibit.tables[0].rows[5] == [5, last.by_step[5], last.by_member["h"][5], last.by_member["c"][5]]


def test_one_member_is_one_line():
    last = [layer(cell="ElmanCell")]
    assert list(lines_of(by_step(last, last).panels[0])) == ["h"]


def test_the_lag_curve_with_its_bands_and_horizons():
    one = layer()
    exhibit = by_lag([one])
    axes = axes_of(exhibit.panels[0])
    lines = lines_of(exhibit.panels[0])
    assert lines["median"][1] == one.by_lag.quantiles["0.5"] and lines["mean"][1] == one.by_lag.mean
    assert len(axes.collections) == 2
    crosses = [(line.get_xdata()[0], line.get_ydata()[0]) for line in axes.get_lines() if line.get_marker() == "x"]
    assert crosses == [(1 / 0.12, math.exp(-1))]  # the other horizon lies beyond the last lag
    bars = [list(line.get_xdata()) for line in axes.get_lines() if line.get_marker() == "|"]
    assert bars == [[0.8 / 0.12, 1.3 / 0.12]]
    assert [text.get_text() for text in axes.texts] == ["1/e", "1 %"]
    assert "1/e at lag 8.333; 1 % at lag beyond 34." in exhibit.panels[0].alt
    horizons = exhibit.tables[0].rows
    assert [row[:2] for row in horizons] == [["1/e", "8.333"], ["1 %", "beyond 34"]]


def test_the_bound_is_drawn_where_there_is_one():
    bounded = replace(layer(), spectrum=Spectrum({"weight_hh": matrix(0.9, 1)}, [], [], [], 0.5))
    lags, high = lines_of(by_lag([bounded]).panels[0])["bound (γσ)ᵏ"]
    assert high == pytest.approx([0.5**lag for lag in lags])
    assert "bound (γσ)ᵏ" not in lines_of(by_lag([layer()]).panels[0])


@pytest.mark.parametrize(
    ("lag", "phrase"), [(8.25, "8.25"), (math.inf, "beyond 34"), (math.nan, "none without a gradient")]
)
def test_a_horizon_in_words(lag, phrase):
    assert horizon_phrase(Horizon(0.01, lag, 1.0, 2.0, 34)) == phrase


def test_shares_are_of_the_sum_of_norms():
    one = replace(
        layer(), shares=[LagShare(0, 1, 6.0), LagShare(1, 2, 3.0), LagShare(2, 9, 0.999), LagShare(9, 11, 1e-3)]
    )
    exhibit = shares([one])
    axes = axes_of(exhibit.panels[0])
    assert [bar.get_height() for bar in axes.patches] == pytest.approx([60, 30, 9.99, 0.01])
    assert [text.get_text() for text in axes.texts] == ["60", "30", "10", "<0.1"]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0", "1", "2–8", "9–10"]
    assert exhibit.tables[0].rows[1] == ["1", 3.0, pytest.approx(30)]


def test_many_bands_are_named_by_where_they_begin():
    many = replace(layer(), shares=[LagShare(2**i, 2 ** (i + 1), 1.0) for i in range(9)])
    axes = axes_of(shares([many]).panels[0])
    assert [text.get_text() for text in axes.get_xticklabels()] == [str(2**i) for i in range(9)]
    assert axes.get_xlabel() == "lags from"
