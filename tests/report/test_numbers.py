import math

import pytest
from report.drawn import axes_of
from report.examined import examination

from throughtime.records import ErrorsBy, Scatter
from throughtime.report.numbers import errors_by, scatter
from throughtime.report.sentences import Absent


def test_predictions_stand_against_what_came_and_residuals_beside():
    pairs = examination().scatter
    exhibit = scatter(pairs)
    dots, residuals = (axes_of(panel) for panel in exhibit.panels)
    assert list(dots.get_lines()[1].get_xdata()) == pairs.true
    assert list(dots.get_lines()[1].get_ydata()) == pairs.predicted
    assert sum(bar.get_height() for bar in residuals.patches) == 40
    assert exhibit.panels[0].title == "Predicted, 40 of 400 predictions"
    quantiles, table = exhibit.tables
    assert quantiles.rows[0][1] == min(told - came for came, told in zip(pairs.true, pairs.predicted, strict=True))
    assert quantiles.rows[0][1:] == sorted(quantiles.rows[0][1:])
    assert table.rows[-1] == [pairs.true[-1], pairs.predicted[-1], pairs.predicted[-1] - pairs.true[-1]]
    assert "40 of 400 predictions" in exhibit.panels[0].alt and "40 of 400" in table.caption


def test_no_pairs_are_said():
    assert scatter(Scatter([], [], 0)).panels[0].instead == Absent.NO_VALUES.value


def test_errors_stand_at_their_rank_among_all():
    by_series, by_step = (errors_by(errors) for errors in examination().errors)
    line = axes_of(by_series.panels[0]).get_lines()[0]
    assert list(line.get_xdata()) == pytest.approx([1, 45.5, 90]) and list(line.get_ydata()) == [2.5, 1.0, 0.5]
    assert (by_series.heading, by_step.heading) == ("Errors by series", "Errors by step ahead")
    assert by_series.tables[0].rows[0] == ["M1", 2.5, 3] and "3 of 90 entries" in by_series.tables[0].caption
    assert list(axes_of(by_step.panels[0]).get_lines()[0].get_xdata()) == [1, 2, 3]


def test_errors_that_are_not_finite_are_gaps():
    line = axes_of(errors_by(ErrorsBy("a", "b", ["x", "y"], [math.inf, 1.0], [1, 1], 2)).panels[0]).get_lines()[0]
    assert str(list(line.get_ydata())) == "[nan, 1.0]" or math.isnan(line.get_ydata()[0])
    assert errors_by(ErrorsBy("a", "b", ["x"], [math.inf], [1], 1)).panels[0].instead == Absent.NOT_FINITE.value
