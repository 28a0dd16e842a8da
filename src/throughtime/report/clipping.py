"""Exhibit of clipping: the norm of every update, the share that was rescaled, quantiles."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from throughtime.records import UpdateRow
from throughtime.report.canvas import Palette, dress, legend, level, log_up, points
from throughtime.report.exhibit import (
    MARKS,
    Exhibit,
    Panel,
    finite,
    groups_of,
    picked,
    positive,
    shown,
    table,
    without_picture,
)
from throughtime.report.sentences import LookFor, Says, why_empty
from throughtime.wording import percent, plural


@dataclass(frozen=True)
class ClippingFigures:
    """The effect of clipping over all updates.

    Attributes:
        updates, skipped, nonfinite: numbers of updates: all, those skipped, those without a finite gradient.
        clipped, clipped_steps: the shares of rescaled updates, and of steps at which per-step clipping took effect.
        threshold: the median norm of rescaled updates after clipping; nan without any.
        quantiles: the quantiles of the norm before clipping, by level.
    """

    updates: int
    clipped: float
    skipped: int
    nonfinite: int
    clipped_steps: float
    threshold: float
    quantiles: dict[str, float]


def clipping_figures(rows: Sequence[UpdateRow]) -> ClippingFigures:
    """Return the figures of all updates together; shares are 0 without updates."""
    norms = sorted(finite([row.gradient_norm for row in rows]))
    rescaled_to = sorted(
        row.gradient_norm * row.scale for row in rows if 0 < row.scale < 1 and math.isfinite(row.gradient_norm)
    )
    at_least_1, steps = max(1, len(rows)), finite([row.clipped_steps for row in rows])
    return ClippingFigures(
        updates=len(rows),
        clipped=sum(0 < row.scale < 1 for row in rows) / at_least_1,
        skipped=sum(row.scale == 0 for row in rows),
        nonfinite=sum(not math.isfinite(row.gradient_norm) for row in rows),
        clipped_steps=sum(steps) / max(1, len(steps)),
        threshold=quantile(rescaled_to, 0.5),
        quantiles={f"{level:g}": quantile(norms, level) for level in (0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1)},
    )


def quantile(ordered: Sequence[float], level: float) -> float:
    """Return the interpolated quantile of ordered values; nan without values."""
    if not ordered:
        return math.nan
    place = level * (len(ordered) - 1)
    below = ordered[int(place)]
    return below + (place - int(place)) * (ordered[min(int(place) + 1, len(ordered) - 1)] - below)


def clipping(rows: Sequence[UpdateRow]) -> Exhibit:
    """Show the norm of every update with the threshold, and the quantiles of the norms."""
    figures = clipping_figures(rows)
    quantiles = [[f"{100 * float(name):g} %", value] for name, value in figures.quantiles.items()]
    tables = [
        table("Quantiles of the gradient's norm before clipping", ["of the updates", "norm at most"], quantiles),
        table(
            "Updates",
            ["update", "loss", "norm", "scale", "% of steps clipped"],
            [[row.update, row.loss, row.gradient_norm, row.scale, 100 * row.clipped_steps] for row in rows],
        ),
    ]
    return Exhibit("The norm of each update", LookFor.CLIPPING.value, [_clipping_panel(rows, figures)], tables)


def clipping_sentences(figures: ClippingFigures) -> list[str]:
    """Return the effect of clipping in words."""
    skipped = (
        "none was skipped"
        if not figures.skipped
        else f"{figures.skipped:,} {'was' if figures.skipped == 1 else 'were'} skipped"
    )
    said = [Says.CLIPPED.value.format(share=percent(figures.clipped, 3), skipped=skipped)]
    if figures.clipped_steps:
        said.append(Says.CLIPPED_STEPS.value.format(share=percent(figures.clipped_steps, 3)))
    if figures.nonfinite:
        said.append(Says.WITHOUT_GRADIENT.value.format(count=plural(figures.nonfinite, "update")))
    return said


def _clipping_panel(rows: Sequence[UpdateRow], figures: ClippingFigures) -> Panel:
    norms = [row.gradient_norm for row in rows]
    if not finite(positive(norms)):
        return without_picture("", why_empty(norms))
    alt = (
        f"Norm of each update: median {shown(figures.quantiles['0.5'])}, largest {shown(figures.quantiles['1'])}, "
        f"{percent(figures.clipped, 3)} of the updates rescaled."
    )
    middle, largest = _grouped(rows)

    def draw(axes: Any, palette: Palette) -> None:
        dress(axes, palette, "update", "norm of the gradient")
        axes.plot(*middle, label="norm" if middle is largest else "median", marker=points(middle[0]), markersize=4,
                  **palette.line(0))  # fmt: skip
        if largest is not middle:
            axes.plot(*largest, label="largest", linewidth=0.9, color=palette.series[0], alpha=0.6)
        rescaled = picked([row for row in rows if 0 < row.scale < 1 and math.isfinite(row.gradient_norm)], MARKS)
        if rescaled:
            axes.plot([row.update for row in rescaled], [row.gradient_norm for row in rescaled], "x", markersize=4,
                      color=palette.series[1], label="rescaled")  # fmt: skip
        if math.isfinite(figures.threshold):
            level(axes, palette, "threshold", figures.threshold)
        log_up(axes)
        axes.xaxis.get_major_locator().set_params(integer=True, nbins=6)
        legend(axes, palette)

    return Panel("", alt, draw)


def _grouped(rows: Sequence[UpdateRow]) -> tuple[tuple[list[int], list[float]], tuple[list[int], list[float]]]:
    """Return the median and the largest norm of each group of neighbours. Without groups both are the same line."""
    groups = groups_of(rows)
    if len(groups) == len(rows):
        line = [row.update for row in rows], positive([row.gradient_norm for row in rows])
        return line, line
    updates = [group[len(group) // 2].update for group in groups]
    ordered = [sorted(finite(positive([row.gradient_norm for row in group]))) for group in groups]
    return (
        (updates, [quantile(norms, 0.5) for norms in ordered]),
        (updates, [norms[-1] if norms else math.nan for norms in ordered]),
    )
