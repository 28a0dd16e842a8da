"""The figures of the gradient methods as a picture: time, memory and error of each, for each cell."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from matplotlib.figure import Figure

from throughtime.benchmark.grid import Shape
from throughtime.benchmark.methods import MethodFigures

_LEAST = 1e-16
"""Where an error of nothing is drawn."""


def draw_methods(
    by_cell: Mapping[str, Sequence[MethodFigures]], shape: Shape, file: BinaryIO | Path, kind: str
) -> None:
    """Write the picture of all timed methods.

    Args:
        by_cell: cell → its methods.
        shape: of all of them.
        file: an open file, or a path.
        kind: its format, as "png".

    Raises:
        OSError: the file cannot be written.
    """
    drawn = {cell: [one for one in figures if one.seconds is not None] for cell, figures in by_cell.items()}
    drawn = {cell: timed for cell, timed in drawn.items() if timed}
    figure = Figure(figsize=(13, 4 * max(1, len(drawn))), layout="constrained")
    grid = figure.subplots(max(1, len(drawn)), 3, squeeze=False)
    for axes, (cell, timed) in zip(grid, drawn.items(), strict=False):
        labels = [one.label for one in timed]
        colours = ["tab:blue" if one.exact else "tab:orange" for one in timed]
        columns = (
            (f"{cell} {shape}: time over BPTT's", [one.ratio or 0.0 for one in timed], "%.3g"),
            ("KB saved and at the peak", [((one.saved or 0) + (one.peak or 0)) / 1e3 for one in timed], "%.3g"),
            ("relative error (blue: exact)", [max(one.error, _LEAST) for one in timed], "%.2g"),
        )
        for place, (title, values, form) in zip(axes, columns, strict=True):
            place.bar_label(place.barh(labels, values, color=colours), fmt=form, padding=2, fontsize=7)
            place.set_title(title, fontsize=9)
            place.set_xscale("log")
            place.margins(x=0.2)
            place.invert_yaxis()
            place.tick_params(labelsize=7)
        for place in axes[1:]:
            place.set_yticks([])
    figure.savefig(file, format=kind, dpi=120)
