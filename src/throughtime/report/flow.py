"""Write the page, or draw the figures, of diagnoses without a run."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from throughtime.errors import ArgumentError
from throughtime.records import Finding, Flow
from throughtime.report.canvas import NOTEBOOK, drawing
from throughtime.report.exhibit import Panel
from throughtime.report.page import Page, Reply
from throughtime.report.sections import decided_section, finding_of, flow_sections
from throughtime.report.sentences import Says
from throughtime.report.written import Written, page_paths, write_report
from throughtime.wording import plural

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS, _WIDTH, _HEIGHT = 3, 5.0, 3.2


def page_of_flow(
    flow: Flow | Sequence[Flow],
    path: Path | str,
    title: str = "Gradient flow",
    particulars: Mapping[str, Mapping[str, str]] | None = None,
    reproduce: str = "",
) -> Written:
    """Write the page of a diagnosis, and its numbers as .json.

    Args:
        flow: one diagnosis, or several of one model in the order in which they were made.
        path: the path of the page.
        title: the title of the page.
        particulars: heading → name → value, about the model and the data.
        reproduce: the command that reproduces the diagnosis.

    Raises:
        ArgumentError: `flow` is empty, or `path` is a folder, a device or a .json file, or its folder is missing.
        RunFolderError: the page cannot be written.
        UnsupportedError: matplotlib or jinja2 is not installed.
    """
    flows = _several(flow)
    paths = page_paths(Path(path))
    finding = flows[-1].finding
    page = Page(
        title=title,
        summary=_summary(flows[-1]),
        badge=finding.verdict.value if finding is not None else "",
        verdict=finding_of(flows[-1]),
        replies=[Reply("", finding_of(flows[-1])), *_what_to_try(finding)],
        sections=[*decided_section(flows[-1], flows), *flow_sections(flows)],
        particulars={heading: dict(entries) for heading, entries in (particulars or {}).items()},
        reproduce=reproduce,
    )
    return write_report(page, {"title": title, "verdict": list(page.verdict), "diagnoses": flows}, paths)


def figure_of_flow(flow: Flow | Sequence[Flow]) -> "Figure":
    """Draw the figures of a page on one canvas, for a notebook.

    Raises:
        ArgumentError: `flow` is empty.
        UnsupportedError: matplotlib is not installed.
    """
    panels = [
        (f"{exhibit.heading}\n{panel.title}".strip(), panel)
        for section in flow_sections(_several(flow))
        for exhibit in section.exhibits
        for panel in exhibit.panels
        if panel.draw is not None
    ]
    with drawing():
        return _canvas(panels)


def _canvas(panels: Sequence[tuple[str, Panel]]) -> "Figure":
    from matplotlib.figure import Figure

    rows = max(1, -(-len(panels) // _COLUMNS))
    figure = Figure(figsize=(_COLUMNS * _WIDTH, rows * _HEIGHT), layout="constrained", facecolor=NOTEBOOK.ground)
    grid = figure.subplots(rows, _COLUMNS, squeeze=False).flatten()
    for axes, (title, panel) in zip(grid, panels, strict=False):
        if panel.draw is not None:
            panel.draw(axes, NOTEBOOK)
        axes.set_title(title, fontsize=10, color=NOTEBOOK.ink, loc="left", pad=6 + 18 * panel.keys)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    return figure


def _several(flow: Flow | Sequence[Flow]) -> list[Flow]:
    flows = [flow] if isinstance(flow, Flow) else list(flow)
    if not flows:
        raise ArgumentError("flow", "is empty", "it must be a diagnosis, or several in the order they were made")
    return flows


def _what_to_try(finding: Finding | None) -> list[Reply]:
    return [Reply("What to try", (), finding.suggestions)] if finding is not None and finding.suggestions else []


def _summary(flow: Flow) -> str:
    cells = Counter(layer.cell for layer in flow.layers)
    what = ", ".join(f"{cell} ({plural(count, 'layer')})" for cell, count in cells.items()) or "no recurrent layer"
    update = "" if flow.update is None else f", after {plural(flow.update, 'update')}"
    return Says.DIAGNOSED.value.format(what=what, update=update, seconds=flow.seconds)
