"""The grid as a picture: ratio over B and H, and the share of a large product's rate, for each cell."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from throughtime.benchmark.measurement import Measurement

_LARGEST_COLOUR = 8.0


def draw(measurements: Sequence[Measurement], file: BinaryIO | Path, kind: str) -> None:
    """Write the picture of all timed cases of the grid itself, variants left out.

    Args:
        file: an open file, or a path.
        kind: its format, as "png".

    Raises:
        OSError: the file cannot be written.
    """
    timed = [one for one in measurements if one.ratio and not one.case.variant.name]
    cells = list(dict.fromkeys(one.case.cell for one in timed))
    figure = Figure(figsize=(5 * max(1, len(cells)), 8), layout="constrained")
    grid = figure.subplots(2, max(1, len(cells)), squeeze=False)
    for column, cell in enumerate(cells):
        own = [one for one in timed if one.case.cell == cell]
        _ratios(grid[0][column], cell, own)
        _shares(grid[1][column], own)
    figure.savefig(file, format=kind, dpi=120)


def _ratios(axes: Any, cell: str, measurements: Sequence[Measurement]) -> None:
    axes.set_title(f"{cell}: time of torch.nn over ours")
    hidden = [one.case.shape.hidden for one in measurements]
    batch = [one.case.shape.batch for one in measurements]
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xticks(sorted(set(hidden)), sorted(set(hidden)))
    axes.set_yticks(sorted(set(batch)), sorted(set(batch)))
    axes.set_xlabel("hidden units H")
    axes.set_ylabel("batch rows B")
    axes.margins(0.15)
    norm = TwoSlopeNorm(1.0, 0.0, _LARGEST_COLOUR)  # white: as fast as torch.nn
    ratios = [min(one.ratio or 0.0, _LARGEST_COLOUR) for one in measurements]
    axes.scatter(hidden, batch, c=ratios, s=900, cmap="RdBu", norm=norm, alpha=0.6)
    for one in measurements:
        text, place = f"{one.ratio:.3g}\nT={one.case.shape.steps}", (one.case.shape.hidden, one.case.shape.batch)
        axes.annotate(text, place, ha="center", va="center", fontsize=7)


def _shares(axes: Any, measurements: Sequence[Measurement]) -> None:
    names = [str(one.case.shape) for one in measurements]
    bars = axes.barh(names, [100 * (one.share or 0.0) for one in measurements])
    axes.bar_label(bars, fmt="%.0f", padding=2)
    axes.invert_yaxis()
    axes.set_xlim(0, 110)
    axes.set_xlabel("% of a large product's rate, products only (B x H x T)")
