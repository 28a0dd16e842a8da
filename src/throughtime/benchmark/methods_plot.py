"""Picture of the gradient methods: time, memory and error, for each cell."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from matplotlib.figure import Figure

from throughtime.benchmark.grid import Shape
from throughtime.benchmark.methods import MethodFigures

_LEAST = 1e-16
"""Place of an error of 0 on the logarithmic axis."""


def draw_methods(
    by_cell: Mapping[str, Sequence[MethodFigures]], shape: Shape, file: BinaryIO | Path, kind: str
) -> None:
    """Draw all timed methods into a file.

    Args:
        by_cell: cell → figures of the methods.
        shape: the shape of all runs.
        file: an open file, or a path.
        kind: the format, such as "png".

    Raises:
        OSError: the file cannot be written.
    """
    drawn = {cell: [method for method in figures if method.seconds is not None] for cell, figures in by_cell.items()}
    drawn = {cell: timed for cell, timed in drawn.items() if timed}
    figure = Figure(figsize=(13, 4 * max(1, len(drawn))), layout="constrained")
    grid = figure.subplots(max(1, len(drawn)), 3, squeeze=False)
    for row, (cell, timed) in zip(grid, drawn.items(), strict=False):
        labels = [method.label for method in timed]
        colours = ["tab:blue" if method.exact else "tab:orange" for method in timed]
        columns = (
            (f"{cell} {shape}: time over BPTT's", [method.ratio or 0.0 for method in timed], "%.3g"),
            (
                "KB saved and at the peak",
                [((method.saved or 0) + (method.peak or 0)) / 1e3 for method in timed],
                "%.3g",
            ),
            ("relative error (blue: exact)", [max(method.error, _LEAST) for method in timed], "%.2g"),
        )
        for axes, (title, values, form) in zip(row, columns, strict=True):
            axes.bar_label(axes.barh(labels, values, color=colours), fmt=form, padding=2, fontsize=7)
            axes.set_title(title, fontsize=9)
            axes.set_xscale("log")
            axes.margins(x=0.2)
            axes.invert_yaxis()
            axes.tick_params(labelsize=7)
        for axes in row[1:]:
            axes.set_yticks([])
    figure.savefig(file, format=kind, dpi=120)
