"""Plot the grid: ratio by B and H, and share of the peak rate."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from throughtime.benchmark.figures import Measurement

_LARGEST_COLOUR = 8.0
"""Ratio from which on all cases have the same colour."""


def draw(measurements: Sequence[Measurement], file: BinaryIO | Path, kind: str) -> None:
    """Draw all timed cases of the grid into a file, variants left out.

    Args:
        measurements: the cases.
        file: an open file, or a path.
        kind: the format, such as "png".

    Raises:
        OSError: the file cannot be written.
    """
    timed = [measurement for measurement in measurements if measurement.ratio and not measurement.case.variant.name]
    cells = list(dict.fromkeys(measurement.case.cell for measurement in timed))
    figure = Figure(figsize=(5 * max(1, len(cells)), 8), layout="constrained")
    grid = figure.subplots(2, max(1, len(cells)), squeeze=False)
    for column, cell in enumerate(cells):
        of_cell = [measurement for measurement in timed if measurement.case.cell == cell]
        _ratios(grid[0][column], cell, of_cell)
        _shares(grid[1][column], of_cell)
    figure.savefig(file, format=kind, dpi=120)


def _ratios(axes: Any, cell: str, measurements: Sequence[Measurement]) -> None:
    axes.set_title(f"{cell}: time of torch.nn over ours")
    hidden = [measurement.case.shape.hidden for measurement in measurements]
    batch = [measurement.case.shape.batch for measurement in measurements]
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xticks(sorted(set(hidden)), sorted(set(hidden)))
    axes.set_yticks(sorted(set(batch)), sorted(set(batch)))
    axes.set_xlabel("hidden units H")
    axes.set_ylabel("batch rows B")
    axes.margins(0.15)
    norm = TwoSlopeNorm(1.0, 0.0, _LARGEST_COLOUR)  # white: as fast as torch.nn
    ratios = [min(measurement.ratio or 0.0, _LARGEST_COLOUR) for measurement in measurements]
    axes.scatter(hidden, batch, c=ratios, s=900, cmap="RdBu", norm=norm, alpha=0.6)
    for measurement in measurements:
        shape = measurement.case.shape
        text = f"{measurement.ratio:.3g}\nT={shape.steps}"
        axes.annotate(text, (shape.hidden, shape.batch), ha="center", va="center", fontsize=7)


def _shares(axes: Any, measurements: Sequence[Measurement]) -> None:
    names = [str(measurement.case.shape) for measurement in measurements]
    bars = axes.barh(names, [100 * (measurement.share or 0.0) for measurement in measurements])
    axes.bar_label(bars, fmt="%.0f", padding=2)
    axes.invert_yaxis()
    axes.set_xlim(0, 110)
    axes.set_xlabel("% of a large product's rate, products only (B x H x T)")
