"""A panel drawn as a page has it, for looking at what is on its axes."""

from typing import Any

from throughtime.report.canvas import PAGE, drawing, one_axes
from throughtime.report.exhibit import Panel


def axes_of(panel: Panel) -> Any:
    """The axes after the panel was drawn on them."""
    assert panel.draw is not None, panel.instead
    with drawing():
        _, axes = one_axes(panel.size, panel.keys, panel.bar)
        panel.draw(axes, PAGE)
    return axes


def lines_of(panel: Panel) -> dict[str, tuple[list[float], list[float]]]:
    """The labelled lines of a panel: where across, how high."""
    named = (line for line in axes_of(panel).get_lines() if not line.get_label().startswith("_"))
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in named}
