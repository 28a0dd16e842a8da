"""Exhibits of a training: losses and baselines, the norm of every update, and clipping."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from throughtime.records import Baselines, BaselinesOf, MetricsRow, UpdateRow, named
from throughtime.report.canvas import Palette, dress, legend, level, log_up, points
from throughtime.report.exhibit import (
    Exhibit,
    Panel,
    finite,
    picked,
    positive,
    shown,
    table,
    with_gaps,
    without_picture,
)
from throughtime.report.sentences import Absent, LookFor, Says, why_empty
from throughtime.wording import percent, plural

_BINS = 240
"""Largest number of updates drawn individually; more are drawn in as many groups."""


Line = tuple[Sequence[int], Sequence[float]]
"""Updates, and a value at each."""


def losses(
    rows: Sequence[MetricsRow],
    updates: Sequence[UpdateRow],
    baselines: BaselinesOf,
    stream: bool,
    measure: str = "nats per symbol",
    units: str = "symbols",
) -> Exhibit:
    """Show training and validation loss with the baselines; a stream has a single loss.

    Args:
        rows: the validations.
        updates: the updates, for the training loss; empty: that of the validations.
        baselines: the losses of naive predictions.
        stream: whether the run learned from a stream.
        measure: the unit of the losses.
        units: the plural of what is predicted one at a time.
    """
    validated = [row.update for row in rows]
    trained = validated, [row.train_loss for row in rows]
    lines: dict[str, Line] = {f"loss on unseen {units}": trained} if stream else {
        **(dict([_of_updates(updates)]) if updates else {"training": trained}),
        "validation": (validated, [row.validation_loss for row in rows]),
    }  # fmt: skip
    heads = ["update", "epoch", "training", "validation", "learning rate", "norm", "% clipped", f"{units}/s", "s"]
    cells = [
        [
            row.update, row.epoch, row.train_loss, row.validation_loss, row.learning_rate, row.gradient_norm,
            100 * row.clipped, row.tokens_per_second, row.seconds,
        ]
        for row in rows
    ]  # fmt: skip
    tables = [table(f"Losses: {measure}", heads, cells)] if rows else []
    look_for = _look_for(stream, isinstance(baselines, Baselines))
    drawn = {name: line for name, line in lines.items() if line[0]}
    return Exhibit("Loss by update", look_for.value, [_losses_panel(drawn, baselines, measure)], tables)


def _look_for(stream: bool, text: bool) -> LookFor:
    if text:
        return LookFor.STREAM_LOSSES if stream else LookFor.LOSSES
    return LookFor.OTHER_STREAM_LOSSES if stream else LookFor.OTHER_LOSSES


def _of_updates(updates: Sequence[UpdateRow]) -> tuple[str, Line]:
    """Return the training loss with its name, by update or by group of updates. A group's value is its mean."""
    size = math.ceil(len(updates) / _BINS)
    groups = [updates[start : start + size] for start in range(0, len(updates), size)]
    known = [finite([row.loss for row in group]) for group in groups]
    means = [sum(values) / len(values) if values else math.nan for values in known]
    name = "training" if size == 1 else f"training, mean of {size} updates"
    return name, ([group[len(group) // 2].update for group in groups], means)


def _losses_panel(lines: dict[str, Line], baselines: BaselinesOf, measure: str) -> Panel:
    if not lines:
        return without_picture("", Absent.NO_VALIDATION.value)
    every = [value for _, values in lines.values() for value in values]
    if not finite(every):
        return without_picture("", why_empty(every))
    ranges = [f"{name} from {shown(values[0])} to {shown(values[-1])}" for name, (_, values) in lines.items()]
    alt = (
        f"Losses ({measure}): {', '.join(ranges)}; "
        + ", ".join(f"{name.replace(chr(10), ', ')} {shown(x)}" for name, x in _levels(baselines))
        + "."
    )

    def draw(axes: Any, palette: Palette) -> None:
        dress(axes, palette, "update", measure)
        for name, loss in _levels(baselines):
            axes.axhline(loss, color=palette.muted, linewidth=0.9, linestyle=(0, (4, 3)))
            place = {"xycoords": axes.get_yaxis_transform(), "ha": "left", "va": "center", "fontsize": 10}
            axes.annotate(name, (1.015, loss), color=palette.ink, **place)  # outside, where no curve is
        for index, (name, (updates, values)) in enumerate(lines.items()):
            axes.plot(
                updates, with_gaps(values), label=name, marker=points(values), markersize=4, **palette.line(index)
            )
        axes.xaxis.get_major_locator().set_params(integer=True, nbins=6)
        legend(axes, palette)

    return Panel("", alt, draw, bar=True)


def _levels(baselines: BaselinesOf) -> list[tuple[str, float]]:
    """Return the baselines by name; equal baselines share a line."""
    levels: dict[float, list[str]] = {}
    for name, loss in reversed(named(baselines).items()):  # the best comes last
        if math.isfinite(loss):
            levels.setdefault(loss, []).append(name)
    return [("\n".join(names), loss) for loss, names in levels.items()]


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
        rescaled = picked([row for row in rows if 0 < row.scale < 1 and math.isfinite(row.gradient_norm)], _BINS)
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
    size = math.ceil(len(rows) / _BINS)
    if size == 1:
        line = [row.update for row in rows], positive([row.gradient_norm for row in rows])
        return line, line
    groups = [rows[start : start + size] for start in range(0, len(rows), size)]
    updates = [group[len(group) // 2].update for group in groups]
    ordered = [sorted(finite(positive([row.gradient_norm for row in group]))) for group in groups]
    return (
        (updates, [quantile(norms, 0.5) for norms in ordered]),
        (updates, [norms[-1] if norms else math.nan for norms in ordered]),
    )
