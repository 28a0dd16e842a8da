"""Exhibit of forecasts of held-out series, with their bands."""

from collections.abc import Sequence
from typing import Any

from throughtime.records import Fan
from throughtime.report.canvas import Palette, dress, legend, points
from throughtime.report.exhibit import Exhibit, Panel, Table, finite, shown, table, with_gaps, without_picture
from throughtime.report.sentences import LookFor, why_empty
from throughtime.wording import percent, plural


def fans(forecasts: Sequence[Fan]) -> Exhibit:
    """Show each forecast with its bands, the values before it, and the values that came."""
    panels, tables = [_panel(fan) for fan in forecasts], [_table(fan) for fan in forecasts]
    return Exhibit("Forecasts of held-out series", LookFor.FANS.value, panels, tables)


def _title(fan: Fan) -> str:
    return f"{fan.series}, from {fan.cutoff}"


def _table(fan: Fan) -> Table:
    bands = [(f"{percent(band.share)}: low", f"{percent(band.share)}: high") for band in fan.bands]
    rows = [
        [place + 1, came, told, *(bound for band in fan.bands for bound in (band.low[place], band.high[place]))]
        for place, (came, told) in enumerate(zip(fan.came, fan.predicted, strict=True))
    ]
    heads = ["step ahead", "came", "median", *(head for pair in bands for head in pair)]
    return table(_title(fan), heads, rows)


def _panel(fan: Fan) -> Panel:
    if not fan.predicted:
        return without_picture(_title(fan), why_empty(fan.predicted))
    known = finite(fan.came)
    came = f"came from {shown(known[0])} to {shown(known[-1])}" if known else "what came is not known"
    alt = (
        f"Forecast of {_title(fan)}, over {plural(len(fan.predicted), 'step')}: median from {shown(fan.predicted[0])} "
        f"to {shown(fan.predicted[-1])}; {came}."
    )
    keys = -(-(len(fan.bands) + 2) // 4)
    return Panel(_title(fan), alt, lambda axes, palette: _draw(axes, palette, fan), keys=keys)


def _draw(axes: Any, palette: Palette, fan: Fan) -> None:
    dress(axes, palette, "step ahead", "")
    ahead = range(1, len(fan.predicted) + 1)
    widest_first = sorted(fan.bands, key=lambda band: -band.share)  # so that the narrow ones lie on top
    for place, band in enumerate(widest_first):
        shade = 0.15 + 0.2 * (place + 1) / len(widest_first)
        axes.fill_between(
            ahead, band.low, band.high, color=palette.series[0], alpha=shade, linewidth=0, label=percent(band.share)
        )
    axes.plot(ahead, fan.predicted, color=palette.series[0], linestyle="--", label="median",
              marker=points(fan.predicted), markersize=3)  # fmt: skip
    values = with_gaps([*fan.past, *fan.came])
    axes.plot(range(1 - len(fan.past), len(fan.came) + 1), values, color=palette.ink, linewidth=1.2, label="came")
    axes.axvline(0.5, color=palette.muted, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.xaxis.get_major_locator().set_params(integer=True, nbins=6)
    legend(axes, palette)
