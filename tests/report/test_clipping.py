import math

import pytest
from report.drawn import axes_of
from report.records_of import updates

from throughtime.records import UpdateRow
from throughtime.report.clipping import clipping, clipping_figures, clipping_sentences, quantile
from throughtime.report.sentences import Absent


def test_what_clipping_did_is_counted():
    rows = [
        UpdateRow(1, 2.0, 4.0, 0.25, 0.5),
        UpdateRow(2, 2.0, 0.5, 1.0, 0.0),
        UpdateRow(3, 2.0, 2.0, 0.5, 0.25),
        UpdateRow(4, math.nan, math.inf, 0.0, math.nan),
        UpdateRow(5, 2.0, 1.0, 1.0, 0.0),
    ]
    figures = clipping_figures(rows)
    assert (figures.updates, figures.clipped, figures.skipped, figures.nonfinite) == (5, 0.4, 1, 1)
    assert figures.threshold == 1.0 and figures.clipped_steps == pytest.approx(0.1875)
    assert figures.quantiles["0.5"] == 1.5 and figures.quantiles["1"] == 4.0
    assert clipping_sentences(figures) == [
        "40 % of the updates were rescaled, 1 was skipped.",
        "Per-step clipping took hold at 18.8 % of the steps.",
        "1 update came without a finite gradient.",
    ]
    marked = [line for line in axes_of(clipping(rows).panels[0]).get_lines() if line.get_label() == "rescaled"]
    assert [list(line.get_xdata()) for line in marked] == [[1, 3]]


def test_where_nothing_was_clipped_no_threshold_is_drawn():
    rows = [UpdateRow(i, 2.0, 1.0 + i, 1.0, 0.0) for i in range(5)]
    assert [line.get_label() for line in axes_of(clipping(rows).panels[0]).get_lines()] == ["norm"]
    assert clipping_sentences(clipping_figures(rows)) == ["0 % of the updates were rescaled, none was skipped."]


def test_many_updates_keep_their_largest_norm():
    rows = updates(2000)
    lines = {line.get_label(): list(line.get_ydata()) for line in axes_of(clipping(rows).panels[0]).get_lines()}
    assert len(lines["largest"]) <= 240
    largest = max(row.gradient_norm for row in rows if math.isfinite(row.gradient_norm))
    assert max(lines["largest"]) == largest > max(lines["median"])


def test_norms_that_are_all_zero_or_nothing_are_told():
    assert clipping([UpdateRow(1, 1.0, 0.0, 1.0, 0.0)]).panels[0].instead == Absent.ALL_ZERO.value
    assert clipping([UpdateRow(1, 1.0, math.nan, 0.0, 0.0)]).panels[0].instead == Absent.NOT_FINITE.value


def test_quantiles_are_interpolated():
    assert quantile([1.0, 2.0, 4.0], 0.75) == 3.0 and quantile([1.0, 2.0, 4.0], 0.125) == 1.25
    assert quantile([1.0, 2.0, 4.0], 1) == 4.0 and quantile([3.0], 0.5) == 3.0
    assert math.isnan(quantile([], 0.5))
