"""Exhibits of the gradient through time. They are curves by step and by lag, and bars by band of lags."""

import math
from collections.abc import Mapping
from typing import Any

from throughtime.records import Horizon, LagCurve, LayerFlow
from throughtime.report.canvas import Palette, dress, legend, level, log_up, points
from throughtime.report.exhibit import Exhibit, Panel, Table, finite, positive, shown, table, without_picture
from throughtime.report.sentences import Absent, LookFor, why_empty
from throughtime.wording import percent

Layers = list[LayerFlow]
_FLOOR = 1e-12
"""The smallest ratio that is drawn; smaller ratios are rounding errors."""


def by_step(first: Layers, last: Layers) -> Exhibit:
    """Show ‖∂L/∂sₜ‖ of each layer in the last diagnosis and the first."""
    before = {layer.name: layer.by_step for layer in first if first is not last}
    panels = [_step_panel(layer, before.get(layer.name, [])) for layer in last]
    return Exhibit("By step", LookFor.BY_STEP.value, panels, [_step_table(layer) for layer in last])


def by_lag(last: Layers) -> Exhibit:
    """Show the lag curves of all layers, with their horizons and, where known, Pascanu's bound."""
    tables = [made for layer in last if layer.by_lag is not None for made in _lag_tables(layer, layer.by_lag)]
    return Exhibit("By lag", LookFor.BY_LAG.value, [_lag_panel(layer) for layer in last], tables)


def shares(last: Layers) -> Exhibit:
    """Show the share of each band of lags in the recurrent weights' gradient."""
    panels = [_share_panel(layer) for layer in last]
    return Exhibit(
        "By band of lags", LookFor.SHARES.value, panels, [_share_table(layer) for layer in last if layer.shares]
    )


def _step_panel(layer: LayerFlow, before: list[float]) -> Panel:
    lines = {"all": layer.by_step} if len(layer.by_member) > 1 else {"h": layer.by_step}
    lines |= layer.by_member if len(layer.by_member) > 1 else {}
    drawable = finite(positive(layer.by_step))
    if not drawable:
        return without_picture(layer.name, why_empty(layer.by_step))
    alt = (
        f"Gradient by step of {layer.name}: {shown(layer.by_step[0])} at step 0, {shown(layer.by_step[-1])} at step "
        f"{len(layer.by_step) - 1}, between {shown(min(drawable))} and {shown(max(drawable))}."
    )

    def draw(axes: Any, palette: Palette) -> None:
        dress(axes, palette, "step t", "‖∂L/∂sₜ‖")
        for index, (name, values) in enumerate(lines.items()):
            under = {"linewidth": 4, "alpha": 0.45} if name == "all" else {}  # the largest member covers most of it
            axes.plot(positive(values), label=name, marker=points(values), markersize=4, **palette.line(index), **under)
        if finite(positive(before)):
            axes.plot(
                positive(before), label="first diagnosis", color=palette.muted, linewidth=1, marker=points(before)
            )
        log_up(axes)
        legend(axes, palette)

    return Panel(layer.name, alt, draw)


def _step_table(layer: LayerFlow) -> Table:
    members: Mapping[str, list[float]] = layer.by_member if len(layer.by_member) > 1 else {}
    columns = [layer.by_step, *members.values()]
    rows = [[step, *values] for step, values in enumerate(zip(*columns, strict=True))]
    return table(f"{layer.name}: ‖∂L/∂sₜ‖ by step", ["step t", "all", *members], rows)


def _lag_panel(layer: LayerFlow) -> Panel:
    curve = layer.by_lag
    if curve is None:
        return without_picture(layer.name, Absent.NOT_ASKED.value.format(layer=layer.name))
    median = curve.quantiles.get("0.5", curve.mean)
    if not finite(positive(median)):
        return without_picture(layer.name, why_empty(median))
    alt = f"Gradient by lag of {layer.name}: median {shown(median[-1])} at lag {len(median) - 1}; " + "; ".join(
        f"{_level(horizon)} at lag {horizon_phrase(horizon)}" for horizon in layer.horizons
    )
    bound = layer.spectrum.bound if layer.spectrum else None
    return Panel(layer.name, alt.rstrip("; ") + ".", lambda axes, palette: _draw_lags(axes, palette, layer, bound))


def _draw_lags(axes: Any, palette: Palette, layer: LayerFlow, bound: float | None) -> None:
    curve = layer.by_lag
    assert curve is not None
    dress(axes, palette, "lag k", "ratio to lag 0")
    lags, median = list(range(len(curve.mean))), curve.quantiles.get("0.5", curve.mean)
    colour = palette.series[0]
    for low, high, depth in (("0.05", "0.95", 0.15), ("0.25", "0.75", 0.25)):
        if low in curve.quantiles and high in curve.quantiles:
            band = [[max(value, _FLOOR) for value in positive(curve.quantiles[name])] for name in (low, high)]
            axes.fill_between(lags, *band, color=colour, alpha=depth, linewidth=0)
    axes.plot(lags, positive(median), label="median", marker=points(lags), markersize=4, **palette.line(0))
    axes.plot(lags, positive(curve.mean), label="mean", **palette.line(1))
    low, high = _range(curve, median)
    if bound is not None and math.isfinite(bound) and bound > 0:
        exponents = [lag * math.log(bound) for lag in lags]
        # Larger exponents are far outside of the axes.
        drawn = [math.exp(exponent) if abs(exponent) < 100 else math.nan for exponent in exponents]
        axes.plot(lags, drawn, label="bound (γσ)ᵏ", **palette.line(3))
    for horizon in layer.horizons:
        _draw_horizon(axes, palette, horizon, len(lags) - 1)
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    log_up(axes)
    legend(axes, palette)


def _range(curve: LagCurve, median: list[float]) -> tuple[float, float]:
    """Return the limits of the axis: all lines, and bands down to a thirtieth of the lowest line, with room."""
    lines = [value for value in finite(positive([*median, *curve.mean])) if value >= _FLOOR] or [_FLOOR]
    bands = [value for values in curve.quantiles.values() for value in finite(positive(values))]
    low = min(*lines, 0.5)
    return max(min([low, *bands]), low / 30, _FLOOR) / 2, max(*lines, *bands, 1.0) * 2


def _draw_horizon(axes: Any, palette: Palette, horizon: Horizon, longest: int) -> None:
    level(axes, palette, _level(horizon), horizon.level, right=horizon.lag < longest / 4)  # where the cross is not
    if math.isnan(horizon.lag) or math.isinf(horizon.lag):
        return
    high = min(horizon.high, longest) if not math.isnan(horizon.high) else horizon.lag
    low = horizon.low if not math.isnan(horizon.low) else horizon.lag
    style = {"color": palette.ink, "linewidth": 1.4}
    axes.plot([low, max(high, horizon.lag)], [horizon.level] * 2, marker="|", markersize=7, **style)
    axes.plot(horizon.lag, horizon.level, marker="x", markersize=7, markeredgewidth=1.8, **style)


def horizon_phrase(horizon: Horizon) -> str:
    """Return the lag of a horizon in words or digits."""
    if math.isnan(horizon.lag):
        return "none without a gradient"
    return f"beyond {horizon.observed}" if math.isinf(horizon.lag) else shown(horizon.lag)


def _level(horizon: Horizon) -> str:
    """Return the level of a horizon, "1/e" or "1 %"."""
    return "1/e" if math.isclose(horizon.level, math.exp(-1), rel_tol=1e-3) else f"{100 * horizon.level:g} %"


def _lag_tables(layer: LayerFlow, curve: LagCurve) -> list[Table]:
    names = sorted(curve.quantiles, key=float)
    columns = [curve.mean, *(curve.quantiles[name] for name in names), curve.samples]
    rows = [[lag, *values] for lag, values in enumerate(zip(*columns, strict=True))]
    heads = ["lag k", "mean", *(f"{100 * float(name):g} %" for name in names), "samples"]
    horizons = [[_level(each), horizon_phrase(each), each.low, each.high, each.observed] for each in layer.horizons]
    return [
        table(
            f"{layer.name}: how far the gradient reaches",
            ["fallen to", "lag", "from", "to", "measured up to"],
            horizons,
        ),
        table(f"{layer.name}: the gradient by lag, as a ratio to lag 0", heads, rows),
    ]


def _share_panel(layer: LayerFlow) -> Panel:
    norms = [share.norm for share in layer.shares]
    whole = sum(finite(norms))
    if not norms:
        return without_picture(layer.name, Absent.NOT_ASKED.value.format(layer=layer.name))
    if not whole > 0 or len(finite(norms)) < len(norms):
        return without_picture(layer.name, why_empty(norms))
    names = [_band(share.start, share.stop) for share in layer.shares]
    starts, crowded = [str(share.start) for share in layer.shares], len(names) > 7
    parts = [100 * norm / whole for norm in norms]
    alt = f"Shares of lags in {layer.name}: " + ", ".join(
        f"{name}: {percent(norm / whole, 3)}" for name, norm in zip(names, norms, strict=True)
    )

    def draw(axes: Any, palette: Palette) -> None:
        dress(axes, palette, "lags from" if crowded else "lags", "% of the sum of norms")
        bars = axes.bar(range(len(parts)), parts, color=palette.series[0], width=0.75)
        axes.bar_label(
            bars,
            [f"{part:.2g}" if part >= 0.1 else "<0.1" for part in parts],
            padding=2,
            fontsize=10,
            color=palette.ink,
        )
        axes.set_xticks(range(len(names)), starts if crowded else names)
        axes.set_ylim(0, max(parts) * 1.15)
        axes.grid(False, axis="x")

    return Panel(layer.name, alt + ".", draw, keys=0)


def _share_table(layer: LayerFlow) -> Table:
    whole = sum(finite([share.norm for share in layer.shares])) or math.nan
    rows = [[_band(share.start, share.stop), share.norm, 100 * share.norm / whole] for share in layer.shares]
    return table(f"{layer.name}: the weights' gradient by lag", ["lags", "norm", "% of the sum"], rows)


def _band(start: int, stop: int) -> str:
    return str(start) if stop - start <= 1 else f"{start}–{stop - 1}"
