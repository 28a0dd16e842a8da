"""Exhibit of a run's losses with their baselines."""

import math
from collections.abc import Sequence
from typing import Any

from throughtime.records import Baselines, BaselinesOf, MetricsRow, UpdateRow, named
from throughtime.report.canvas import Palette, dress, legend, points
from throughtime.report.exhibit import Exhibit, Panel, finite, groups_of, shown, table, with_gaps, without_picture
from throughtime.report.sentences import Absent, LookFor, why_empty

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
    groups = groups_of(updates)
    known = [finite([row.loss for row in group]) for group in groups]
    means = [sum(values) / len(values) if values else math.nan for values in known]
    size = len(groups[0])
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
