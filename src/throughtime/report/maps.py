"""Heat maps: the gradient by step over training, and gains by step."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from throughtime.records import LayerFlow, StepNormRow
from throughtime.report.canvas import COLOUR_MAP, Palette, dress, powers_of_ten
from throughtime.report.exhibit import (
    Exhibit,
    Panel,
    Table,
    finite,
    of_all,
    picked,
    picked_places,
    positive,
    shown,
    without_picture,
)
from throughtime.report.sentences import Absent, LookFor, why_empty

Grid = list[list[float]]
"""Rows from the bottom up, columns from left to right."""
_DRAWN, _TABULATED = 160, 24
"""Largest number of rows and columns of a map, drawn or tabulated; a table has half as many columns."""
_DEPTH = 1e-10
"""Smallest value with a separate colour, as a share of the largest value."""
_OVER_TRAINING, _FROM_TO = ("update", "step t"), ("step r", "later step t")
"""Labels of the axes, across and up, of the two kinds of maps."""


@dataclass(frozen=True)
class NormMap:
    """A layer's ‖∂L/∂sₜ‖: `norms[i][j]` at step `steps[i]` of update `updates[j]`; nan where unknown."""

    steps: list[int]
    updates: list[int]
    norms: Grid


def norm_maps(rows: Iterable[StepNormRow]) -> dict[str, NormMap]:
    """Return the lines of `step_norms.csv` as a map for each layer."""
    by_layer: dict[str, dict[tuple[int, int], float]] = {}
    for row in rows:
        by_layer.setdefault(row.layer, {})[row.update, row.step] = row.norm
    maps = {}
    for layer, norms in by_layer.items():
        updates, steps = sorted({update for update, _ in norms}), sorted({step for _, step in norms})
        grid = [[norms.get((update, step), math.nan) for update in updates] for step in steps]
        maps[layer] = NormMap(steps, updates, grid)
    return maps


def over_training(maps: Mapping[str, NormMap]) -> Exhibit:
    """Show ‖∂L/∂sₜ‖ of each layer by update and step."""
    panels = [
        _panel(
            layer, f"Gradient of {layer} by update and step", norms.updates, norms.steps, norms.norms, _OVER_TRAINING
        )
        for layer, norms in maps.items()
    ]
    caption = "{}: ‖∂L/∂sₜ‖ over training, step (down) by update (across)"
    tables = [_table(caption.format(name), norms.updates, norms.steps, norms.norms) for name, norms in maps.items()]
    return Exhibit("Over training", LookFor.OVER_TRAINING.value, panels, tables)


def gains(last: Sequence[LayerFlow]) -> Exhibit:
    """Show the gain of each layer from step to step."""
    panels: list[Panel] = []
    tables: list[Table] = []
    for layer in last:
        if (grid := layer.gains) is None:
            panels.append(without_picture(layer.name, Absent.NOT_ASKED.value.format(layer=layer.name)))
            continue
        across, up = grid.from_steps, grid.to_steps
        panels.append(_panel(layer.name, f"Gain of {layer.name}", across, up, grid.gain, _FROM_TO))
        tables.append(_table(f"{layer.name}: gain to step (down) from step (across)", across, up, grid.gain))
        if grid.spectral is not None:
            caption = f"{layer.name}: largest gain of any direction, to step (down) from step (across)"
            tables.append(_table(caption, across, up, grid.spectral))
    return Exhibit("From step to step", LookFor.GAINS.value, panels, tables)


def _panel(title: str, alt: str, across: list[int], up: list[int], grid: Grid, names: tuple[str, str]) -> Panel:
    """Return the panel of a grid, thinned to `_DRAWN` × `_DRAWN` values; its title then says so."""
    every = [value for row in grid for value in row if not math.isnan(value)]
    seen = finite(positive(every))
    if not seen:
        return without_picture(title, why_empty(every))
    title += of_all(len(across), _DRAWN, "updates" if names == _OVER_TRAINING else "steps") + of_all(
        len(up), _DRAWN, "steps"
    )
    across, columns = picked(across, _DRAWN), picked_places(len(across), _DRAWN)
    rows = picked_places(len(up), _DRAWN)
    cells = [[grid[row][column] for column in columns] for row in rows]
    up = [up[row] for row in rows]

    def draw(axes: Any, palette: Palette) -> None:
        _draw(axes, palette, across, up, cells, names)

    return Panel(title, f"{alt}: from {shown(min(seen))} to {shown(max(seen))}.", draw, keys=0, bar=True)


def _draw(axes: Any, palette: Palette, across: list[int], up: list[int], cells: Grid, names: tuple[str, str]) -> None:
    import numpy as np
    from matplotlib.colors import LogNorm

    dress(axes, palette, *names)
    axes.grid(False)
    values = np.array(cells, dtype=float)
    with np.errstate(invalid="ignore"):
        seen = np.where(np.isfinite(values) & (values > 0), values, np.nan)
    top = float(np.nanmax(seen))
    bottom = max(float(np.nanmin(seen)), top * _DEPTH)
    norm = LogNorm(bottom, top if top > bottom else bottom * 1.01, clip=True)
    image = axes.imshow(
        np.ma.masked_invalid(np.where(values == 0, bottom, values)), COLOUR_MAP, norm, aspect="auto", origin="lower",
        interpolation="nearest",
    )  # fmt: skip
    for axis, steps in ((axes.xaxis, across), (axes.yaxis, up)):
        places = picked_places(len(steps), 5)
        axis.set_ticks(places, [f"{steps[place]:,}" for place in places])
    bar = axes.figure.colorbar(image, cax=axes.inset_axes((1.03, 0, 0.04, 1)))
    bar.outline.set_visible(False)
    bar.ax.tick_params(which="both", color=palette.muted, labelcolor=palette.ink, length=2, labelsize=10)
    bar.ax.minorticks_off()
    powers_of_ten(bar.ax.yaxis)


def _table(caption: str, across: list[int], up: list[int], grid: Grid) -> Table:
    columns, rows = picked_places(len(across), _TABULATED // 2), picked_places(len(up), _TABULATED)
    if len(columns) < len(across) or len(rows) < len(up):
        caption += f" ({len(rows)} of {len(up):,} rows and {len(columns)} of {len(across):,} columns, evenly spread)"
    heads = ["", *(f"{across[column]:,}" for column in columns)]
    return Table(caption, heads, [[up[row], *(grid[row][column] for column in columns)] for row in rows])
