"""Exhibits on predictions of numbers: predicted against true, residuals, and errors by series or step."""

import math
from collections.abc import Sequence
from typing import Any

from throughtime.records import ErrorsBy, Scatter
from throughtime.report.canvas import SQUARE, Palette, dress, points
from throughtime.report.exhibit import Exhibit, Panel, finite, of_all, shown, table, with_gaps, without_picture
from throughtime.report.sentences import Absent, LookFor, why_empty

_BINS = 24
"""Bins of a histogram of residuals."""


def scatter(pairs: Scatter) -> Exhibit:
    """Show predictions against what came, and the distribution of their differences."""
    residuals = [told - came for came, told in zip(pairs.true, pairs.predicted, strict=True)]
    rows = [list(row) for row in zip(pairs.true, pairs.predicted, residuals, strict=True)]
    caption = "Predictions" + of_all(pairs.total, len(residuals), "predictions")
    tables = [
        table("Residuals, predicted − true: quantiles", ["", *_LEVELS], [["", *_quantiles(residuals)]]),
        table(caption, ["true", "predicted", "predicted − true"], rows, 20),
    ]
    if not residuals:
        return Exhibit("Predicted against true", LookFor.SCATTER.value, [_empty()], [])
    panels = [_scatter_panel(pairs), _residuals_panel(residuals)]
    return Exhibit("Predicted against true", LookFor.SCATTER.value, panels, tables)


_LEVELS = {"least": 0.0, "5 %": 0.05, "25 %": 0.25, "50 %": 0.5, "75 %": 0.75, "95 %": 0.95, "most": 1.0}


def _quantiles(values: Sequence[float]) -> list[float]:
    ordered = sorted(values)
    return [ordered[round(level * (len(ordered) - 1))] if ordered else math.nan for level in _LEVELS.values()]


def _empty() -> Panel:
    return without_picture("", Absent.NO_VALUES.value)


def _scatter_panel(pairs: Scatter) -> Panel:
    low, high = min(*pairs.true, *pairs.predicted), max(*pairs.true, *pairs.predicted)
    alt = (
        f"Predicted against true, {len(pairs.true):,} of {pairs.total:,} predictions: true from "
        f"{shown(min(pairs.true))} to {shown(max(pairs.true))}, predicted from {shown(min(pairs.predicted))} to "
        f"{shown(max(pairs.predicted))}."
    )

    def draw(axes: Any, palette: Palette) -> None:
        dress(axes, palette, "true", "predicted")
        axes.plot([low, high], [low, high], color=palette.muted, linewidth=0.9, linestyle=(0, (4, 3)))
        axes.plot(
            pairs.true, pairs.predicted, linestyle="none", marker="o", markersize=3, color=palette.series[0],
            alpha=0.6, markeredgewidth=0,
        )  # fmt: skip
        axes.locator_params(nbins=5)

    return Panel(_of_title("Predicted", pairs), alt, draw, size=SQUARE, keys=0)


def _of_title(title: str, pairs: Scatter) -> str:
    """Return a title that tells how many of all predictions are drawn."""
    return title + of_all(pairs.total, len(pairs.true), "predictions")


def _residuals_panel(residuals: Sequence[float]) -> Panel:
    quantiles = dict(zip(_LEVELS, _quantiles(residuals), strict=True))
    alt = "Residuals: " + ", ".join(f"{name} {shown(value)}" for name, value in quantiles.items()) + "."

    def draw(axes: Any, palette: Palette) -> None:
        dress(axes, palette, "predicted − true", "predictions")
        axes.hist(residuals, _BINS, color=palette.series[0], alpha=0.75)
        axes.axvline(0, color=palette.ink, linewidth=1, linestyle="--")
        axes.locator_params(nbins=5)

    return Panel("Residuals", alt, draw, size=SQUARE, keys=0)


def errors_by(errors: ErrorsBy) -> Exhibit:
    """Show the mean errors by series, or by step."""
    heading = f"Errors by {errors.by.partition(',')[0]}"
    caption = f"{errors.measure}, by {errors.by}" + of_all(errors.total, len(errors.names), "entries")
    rows = [list(row) for row in zip(errors.names, errors.errors, errors.counts, strict=True)]
    tables = [table(caption, [errors.by.partition(",")[0], errors.measure, "predictions"], rows)]
    known = finite(errors.errors)
    if not known:
        return Exhibit(heading, LookFor.ERRORS_BY.value, [without_picture("", why_empty(errors.errors))], tables)
    alt = (
        f"{errors.measure.capitalize()} by {errors.by}: {len(errors.names):,} of {errors.total:,}, from "
        f"{shown(errors.errors[0])} ({errors.names[0]}) to {shown(errors.errors[-1])} ({errors.names[-1]})."
    )

    def draw(axes: Any, palette: Palette) -> None:
        dress(axes, palette, errors.by, errors.measure)
        across = _places(errors)
        axes.plot(across, with_gaps(errors.errors), marker=points(errors.errors), markersize=4, **palette.line(0))
        axes.set_ylim(bottom=0)
        axes.xaxis.get_major_locator().set_params(integer=True, nbins=6)

    return Exhibit(heading, LookFor.ERRORS_BY.value, [Panel("", alt, draw, keys=0)], tables)


def _places(errors: ErrorsBy) -> list[float]:
    """Return where the entries stand across: their numbers from 1, evenly spread over all entries."""
    last = max(1, len(errors.names) - 1)
    return [1 + place * (errors.total - 1) / last for place in range(len(errors.names))]
