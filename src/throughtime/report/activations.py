"""Exhibits on units and gates. They show saturation, histograms, time constants, dead units, the size of the state."""

import math
from collections.abc import Sequence
from typing import Any

from throughtime.records import Activation, LayerFlow, Role
from throughtime.report.canvas import SMALL, WIDE, Palette, dress, legend, log_across, points
from throughtime.report.exhibit import Exhibit, Panel, Table, finite, positive, shown, table, with_gaps, without_picture
from throughtime.report.sentences import Absent, LookFor, Says, why_empty
from throughtime.wording import plural

_ROLES = {Role.CONTENT: "content", Role.KEEP: "keeps the state", Role.GATE: "gate"}


def saturation(last: Sequence[LayerFlow]) -> Exhibit:
    """Show the shares of values at the ends of their range, activation by activation."""
    heads = ["activation", "role", "mean", "% at the low end", "% at the high end"]
    tables = [
        table(
            f"{layer.name}: saturation",
            heads,
            [_shares_row(activation) for activation in layer.activations],
        )
        for layer in last
        if layer.activations
    ]
    return Exhibit("Saturation", LookFor.SATURATION.value, [_saturation_panel(layer) for layer in last], tables)


def _shares_row(activation: Activation) -> list[str | float]:
    shares = 100 * activation.at_low, 100 * activation.at_high
    return [activation.name, _ROLES[activation.role], activation.mean, *shares]


def histograms(last: Sequence[LayerFlow]) -> Exhibit:
    """Show a small histogram of every activation."""
    activations = [(layer.name, activation) for layer in last for activation in layer.activations]
    panels = [_histogram(layer, activation) for layer, activation in activations]
    tables = [_histogram_table(layer, activation) for layer, activation in activations]
    return Exhibit("Histograms", LookFor.HISTOGRAMS.value, panels, tables)


def time_constants(last: Sequence[LayerFlow]) -> Exhibit:
    """Show the time constants of each layer's keeping gates."""
    constants = {
        f"{layer.name} {activation.name}": activation.time_constants
        for layer in last
        for activation in layer.activations
        if activation.time_constants
    }
    heads = ["", "5 %", "25 %", "50 %", "75 %", "95 %"]
    tables = [table("Time constants in steps, quantiles over units", heads, [[n, *q] for n, q in constants.items()])]
    panels = [_constants_panel(constants)] if constants else []
    return Exhibit("Time constants", LookFor.TIME_CONSTANTS.value, panels, tables if constants else [])


def states(last: Sequence[LayerFlow]) -> Exhibit:
    """Show the size of the state of every layer, step by step."""
    norms = {layer.name: layer.units.state_norms for layer in last if layer.units is not None}
    tables = [
        table(f"{name}: root mean square of hₜ", ["step t", "size"], [[t, value] for t, value in enumerate(values)])
        for name, values in norms.items()
    ]
    return Exhibit("Size of the state", LookFor.STATES.value, [_states_panel(norms)] if norms else [], tables)


def dead_units(last: Sequence[LayerFlow]) -> list[str]:
    """Return sentences on the dead units of each layer. A single sentence says so where no unit is dead.

    Without a layer whose units were measured, no sentence.
    """
    known = [(layer.name, layer.units) for layer in last if layer.units is not None]
    dead = [
        Says.DEAD.value.format(layer=name, dead=f"{units.dead:,}", units=plural(units.units, "unit"))
        for name, units in known
        if units.dead
    ]
    if known and not dead:
        return [Says.NONE_DEAD.value]
    return dead


def units_table(last: Sequence[LayerFlow]) -> Table:
    """List the layers: cell, state size, units, dead units, activations' arguments."""
    heads = ["layer", "cell", "size of sₜ", "units", "dead", "RMS before the activation"]
    rows = []
    for layer in last:
        units = layer.units
        known = ["–", "–", math.nan] if units is None else [units.units, units.dead, units.preactivation]
        rows.append([layer.name, layer.cell, layer.size, *known])
    return table("Layers and units", heads, rows)


def _saturation_panel(layer: LayerFlow) -> Panel:
    known = [each for each in layer.activations if math.isfinite(each.at_low) and math.isfinite(each.at_high)]
    if not known:
        return without_picture(layer.name, Absent.NOT_ASKED.value.format(layer=layer.name))
    alt = f"Saturation of {layer.name}: " + "; ".join(
        f"{each.name} {shown(100 * each.at_low)} % at the low end, {shown(100 * each.at_high)} % at the high end"
        for each in known
    )

    def draw(axes: Any, palette: Palette) -> None:
        dress(axes, palette, "% of values", "")
        names = [each.name for each in known]
        low, high = [100 * each.at_low for each in known], [100 * each.at_high for each in known]
        between = [100 - at_low - at_high for at_low, at_high in zip(low, high, strict=True)]
        starts_of_high = [at_low + rest for at_low, rest in zip(low, between, strict=True)]
        axes.barh(names, low, color=palette.series[0], label="low end", height=0.5)
        axes.barh(names, between, left=low, color=palette.grid, label="between", height=0.5)
        axes.barh(names, high, left=starts_of_high, color=palette.series[1], label="high end", height=0.5, hatch="///",
                  edgecolor=palette.ground, linewidth=0)  # fmt: skip
        axes.set_xlim(0, 100)
        axes.invert_yaxis()
        axes.grid(False)
        _named_rows(axes, palette, names)
        legend(axes, palette)

    return Panel(layer.name, alt + ".", draw, size=_rows_size(len(known)))


def _rows_size(rows: int) -> tuple[float, float]:
    """Return the size of a figure of named rows, which need some height each."""
    return WIDE[0], max(WIDE[1], 1 + 0.44 * rows)


def _named_rows(axes: Any, palette: Palette, names: Sequence[str]) -> None:
    """Arrange rows from the top down, each row below its name. Long names then have room."""
    axes.set_yticks([])
    axes.set_ylim(len(names) - 0.5, -0.85)
    for place, name in enumerate(names):
        axes.annotate(
            name, (0, place - 0.25), (3, 1), xycoords=axes.get_yaxis_transform(), textcoords="offset points",
            fontsize=10, color=palette.ink, va="bottom",
        )  # fmt: skip


def _histogram(layer: str, activation: Activation) -> Panel:
    title = f"{layer} {activation.name}"
    if not finite(activation.histogram) or not finite(activation.edges) or not sum(finite(activation.histogram)) > 0:
        return without_picture(title, why_empty(activation.histogram))
    fullest = max(range(len(activation.histogram)), key=lambda place: activation.histogram[place])
    alt = (
        f"Histogram of {title}: mean {shown(activation.mean)}, the fullest bin, {shown(activation.edges[fullest])} to "
        f"{shown(activation.edges[fullest + 1])}, holds {shown(100 * activation.histogram[fullest])} %."
    )

    def draw(axes: Any, palette: Palette) -> None:
        dress(axes, palette, "value", "% of values")
        axes.stairs(
            [100 * share for share in activation.histogram],
            activation.edges,
            fill=True,
            color=palette.series[0],
            alpha=0.75,
        )
        if math.isfinite(activation.mean):
            axes.axvline(activation.mean, color=palette.ink, linewidth=1, linestyle="--")
        axes.set_ylim(bottom=0)
        axes.locator_params(nbins=5)

    return Panel(title, alt, draw, size=SMALL, keys=0)


def _histogram_table(layer: str, activation: Activation) -> Table:
    rows = [
        [f"{shown(activation.edges[place])} to {shown(activation.edges[place + 1])}", 100 * share]
        for place, share in enumerate(activation.histogram)
    ]
    return table(f"{layer}: histogram of {activation.name}", ["value", "%"], rows)


def _constants_panel(constants: dict[str, list[float]]) -> Panel:
    drawn = {name: quantiles for name, quantiles in constants.items() if finite(positive(quantiles))}
    if not drawn:
        return without_picture("", why_empty([value for values in constants.values() for value in values]))
    alt = "Time constants: " + "; ".join(f"{name} median {shown(q[len(q) // 2])} steps" for name, q in drawn.items())
    largest = max(value for quantiles in drawn.values() for value in finite(positive(quantiles)))

    def draw(axes: Any, palette: Palette) -> None:
        dress(axes, palette, "steps", "")
        for place, quantiles in enumerate(drawn.values()):
            # The five quantiles, fewer where a constant is 0; an infinite constant ends in an arrow.
            ends = [value if math.isfinite(value) else largest * 2 for value in quantiles if value > 0]
            axes.plot([ends[0], ends[-1]], [place] * 2, color=palette.series[0], linewidth=1.2)
            axes.plot([ends[len(ends) // 4], ends[-1 - len(ends) // 4]], [place] * 2, color=palette.series[0],
                      linewidth=6, alpha=0.6, solid_capstyle="butt")  # fmt: skip
            axes.plot(ends[len(ends) // 2], place, "o", color=palette.ink, markersize=5)
            if math.isinf(quantiles[-1]):
                axes.plot(ends[-1], place, ">", color=palette.series[0], markersize=6)
        log_across(axes)
        _named_rows(axes, palette, list(drawn))

    return Panel("", alt + ".", draw, size=_rows_size(len(drawn)), keys=0)


def _states_panel(norms: dict[str, list[float]]) -> Panel:
    drawn = {name: values for name, values in norms.items() if finite(values)}
    if not drawn:
        return without_picture("", why_empty([value for values in norms.values() for value in values]))
    alt = "Size of the state: " + "; ".join(f"{name} ends at {shown(values[-1])}" for name, values in drawn.items())

    def draw(axes: Any, palette: Palette) -> None:
        dress(axes, palette, "step t", "root mean square of hₜ")
        for index, (name, values) in enumerate(drawn.items()):
            axes.plot(with_gaps(values), label=name, marker=points(values), markersize=4, **palette.line(index))
        axes.set_ylim(bottom=0)
        legend(axes, palette, 2)

    return Panel("", alt + ".", draw, keys=math.ceil(len(drawn) / 2))
