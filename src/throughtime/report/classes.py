"""Exhibits on predictions of classes: the confusion matrix, and the calibration of probabilities."""

import math
from collections.abc import Sequence
from typing import Any

from throughtime.records import ChanceBin, Confusion
from throughtime.report.canvas import COLOUR_MAP, SQUARE, Palette, dress, legend
from throughtime.report.exhibit import Exhibit, Panel, picked_places, shown, table, without_picture
from throughtime.report.sentences import Absent, LookFor
from throughtime.wording import percent

_NUMBERED = 12
"""The most classes whose names all stand at the sides of the picture."""

_LETTERS = 8
"""Letters of a class's name beside the picture; the table has all."""

_LETTER = 0.1
"""Width of a letter in inches."""

_LARGE = (5.0, 4.3)
_TALLEST = 0.22
"""Height of the highest bar of counts, as a share of the axis."""


def confusion(matrix: Confusion) -> Exhibit:
    """Show how often each class was predicted as each class."""
    total = sum(map(sum, matrix.counts))
    caption = "Counts, true class (down) by predicted class (across)"
    if matrix.folded:
        caption += f"; {matrix.classes[-1]!r} stands for {matrix.folded:,} classes"
    rows = [
        [name, *row, sum(row), row[place] / sum(row) if sum(row) else math.nan]
        for place, (name, row) in enumerate(zip(matrix.classes, matrix.counts, strict=True))
    ]
    tables = [table(caption, ["", *matrix.classes, "in all", "share right"], rows)]
    panel = _matrix_panel(matrix, total) if total else without_picture("", Absent.NO_VALUES.value)
    return Exhibit("Confusion matrix", LookFor.CONFUSION.value, [panel], tables)


def _matrix_panel(matrix: Confusion, total: int) -> Panel:
    pairs = [
        (count, true, told)
        for true, row in enumerate(matrix.counts)
        for told, count in enumerate(row)
        if true != told and count
    ]
    right = sum(row[place] for place, row in enumerate(matrix.counts))
    alt = f"Confusion matrix of {len(matrix.classes):,} classes: {right:,} of {total:,} on the diagonal"
    if pairs:
        count, true, told = max(pairs)
        alt += f"; most often wrong: {matrix.classes[true]} predicted as {matrix.classes[told]}, {count:,} times"
    few = len(matrix.classes) <= _NUMBERED // 2
    return Panel("", f"{alt}.", lambda axes, palette: _draw_matrix(axes, palette, matrix),
                 size=SQUARE if few else _LARGE, keys=1, bar=not few)  # fmt: skip


def _draw_matrix(axes: Any, palette: Palette, matrix: Confusion) -> None:
    dress(axes, palette, "", "")
    axes.grid(False)
    axes.annotate(
        "true class down, predicted class across", (0.02, 1), (0, 5), xycoords=("figure fraction", "axes fraction"),
        textcoords="offset points", fontsize=10, color=palette.ink,
    )  # fmt: skip
    shares = [[count / sum(row) if sum(row) else 0.0 for count in row] for row in matrix.counts]
    image = axes.imshow(shares, COLOUR_MAP, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    width = axes.get_position().width * axes.figure.get_size_inches()[0]
    places = picked_places(len(matrix.classes), 6 if len(matrix.classes) > _NUMBERED else _NUMBERED)
    letters = max(2, int(width / len(places) / _LETTER))  # across, names must not run into each other
    axes.set_yticks(places, [_short(matrix.classes[place], _LETTERS) for place in places])
    axes.set_xticks(places, [_short(matrix.classes[place], min(letters, _LETTERS)) for place in places])
    longest = max(len(f"{count:,}") for row in matrix.counts for count in row)
    if longest * _LETTER <= width / len(matrix.classes):
        _write_counts(axes, matrix, shares)
    if len(matrix.classes) > _NUMBERED // 2:
        bar = axes.figure.colorbar(image, cax=axes.inset_axes((1.03, 0, 0.04, 1)))
        bar.outline.set_visible(False)
        bar.ax.tick_params(which="both", color=palette.muted, labelcolor=palette.ink, length=2, labelsize=10)


def _write_counts(axes: Any, matrix: Confusion, shares: Sequence[Sequence[float]]) -> None:
    """Write the counts on the colours, which are the same in light and dark.

    Black itself would be left out of the picture, as it is the default there, and become the page's ink.
    """
    size = 10 if len(matrix.classes) <= _NUMBERED // 2 else 9
    for true, row in enumerate(matrix.counts):
        for told, count in enumerate(row):
            if count:
                ink = "#101010" if shares[true][told] > 0.5 else "#ffffff"
                axes.text(told, true, f"{count:,}", ha="center", va="center", fontsize=size, color=ink)


def _short(name: str, most: int) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def calibration(bins: Sequence[ChanceBin]) -> Exhibit:
    """Show how often predictions of a probability are right."""
    total = sum(part.count for part in bins)
    rows = [[f"{part.low:g} to {part.high:g}", part.count, part.predicted, part.right] for part in bins]
    gap = _gap(bins)
    caption = f"Predictions by their probability; mean distance from the diagonal {shown(gap)}"
    tables = [table(caption, ["probability", "predictions", "mean probability", "share right"], rows)]
    known = [part for part in bins if part.count and math.isfinite(part.predicted) and math.isfinite(part.right)]
    if not known:
        return Exhibit("Calibration", LookFor.CALIBRATION.value, [without_picture("", Absent.NO_VALUES.value)], tables)
    told = "; ".join(
        f"of {part.count:,} with about {percent(part.predicted)}, {percent(part.right)} right" for part in known
    )
    alt = f"Calibration of {total:,} predictions: {told}; mean distance from the diagonal {shown(gap)}."
    panel = Panel("", alt, lambda axes, palette: _draw_calibration(axes, palette, bins, known), size=_LARGE, keys=2)
    return Exhibit("Calibration", LookFor.CALIBRATION.value, [panel], tables)


def _gap(bins: Sequence[ChanceBin]) -> float:
    """Return the mean distance of probability and share, over all predictions: the expected calibration error."""
    total = sum(part.count for part in bins)
    return (
        sum(part.count * abs(part.predicted - part.right) for part in bins if part.count) / total if total else math.nan
    )


def _draw_calibration(axes: Any, palette: Palette, bins: Sequence[ChanceBin], known: Sequence[ChanceBin]) -> None:
    dress(axes, palette, "probability of the predicted class", "share right")
    fullest = max(part.count for part in bins)
    axes.bar(
        [part.low for part in bins], [_TALLEST * part.count / fullest for part in bins],
        [part.high - part.low for part in bins], align="edge", color=palette.series[1], alpha=0.35, linewidth=0,
        label=f"predictions, at most {fullest:,}",
    )  # fmt: skip
    axes.plot([0, 1], [0, 1], color=palette.muted, linewidth=0.9, linestyle=(0, (4, 3)))
    across, up = [part.predicted for part in known], [part.right for part in known]
    ends = [_likely(part) for part in known]
    axes.vlines(across, [low for low, _ in ends], [high for _, high in ends], color=palette.series[0], linewidth=1)
    axes.plot(across, up, label="share right, with 95 % intervals", marker="o", markersize=4, **palette.line(0))
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, 1.02)
    legend(axes, palette, 1)


def _likely(part: ChanceBin) -> tuple[float, float]:
    """Return Wilson's interval, in which a share of right predictions lies with 95 % confidence."""
    square = 1.96**2 / part.count
    middle = part.right + square / 2
    half = math.sqrt(max(0.0, square * (part.right * (1 - part.right) + square / 4)))
    return (middle - half) / (1 + square), (middle + half) / (1 + square)
