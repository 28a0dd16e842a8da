"""Compare every gradient method with BPTT: `throughtime bench --methods`."""

from typing import TYPE_CHECKING, Any

from throughtime.benchmark.grid import CELLS, Shape
from throughtime.commands._bench_options import (
    can_plot,
    checked_targets,
    choice,
    chosen_instruction_set,
    write_plot,
)
from throughtime.commands._output_files import write_json
from throughtime.commands._terminal import progress, say
from throughtime.errors import ArgumentError

if TYPE_CHECKING:
    from jsonargparse import Namespace

    from throughtime.benchmark.methods import MethodFigures


def run_methods(arguments: "Namespace") -> int:
    """Measure and print; return 1 if an exact method differed from BPTT, else 0.

    Raises:
        ArgumentError: an option is wrong, before any work; or a file cannot be written, after all of it.
    """
    if arguments.variants:
        raise ArgumentError("variants", "came with `methods`", "it is for the grid", "leave it out")
    if "," in arguments.shapes:
        raise ArgumentError("shapes", f"is {arguments.shapes!r}", "with `methods` it must be one shape")
    cells = choice("cells", arguments.cells or "rnn", list(CELLS))
    given = Shape.parse(arguments.shapes) if arguments.shapes else None
    targets = checked_targets(arguments)
    from throughtime.benchmark import methods
    from throughtime.benchmark.machine import lines, machine
    from throughtime.benchmark.measure import threads
    from throughtime.benchmark.methods_report import EXPLANATION, methods_as_json

    shape, by_cell = given or methods.SHAPE, {cell: [] for cell in cells}
    protocol = methods.BRIEF if arguments.quick else methods.PROTOCOL
    with threads(arguments.threads), chosen_instruction_set(arguments.instruction_set):
        around = machine()
        for line in (*lines(around), "", *EXPLANATION, ""):
            say(line)
        complete = False
        try:
            _measure(by_cell, shape, protocol)
            complete = True
        finally:
            # Also after Ctrl-C or an error: what was measured is not lost.
            if not complete:
                say("Ended early.")
            if targets["json"]:
                write_json(methods_as_json(around, protocol, shape, by_cell, complete), targets["json"])
            if targets["plot"] and can_plot():
                from throughtime.benchmark.methods_plot import draw_methods

                write_plot(lambda file, kind: draw_methods(by_cell, shape, file, kind), targets["plot"])
    return 1 if any(measured.failed for figures in by_cell.values() for measured in figures) else 0


def _measure(by_cell: "dict[str, list[MethodFigures]]", shape: Shape, protocol: Any) -> None:
    """Measure every method on each cell, and print the figures."""
    from throughtime.benchmark.methods import candidates, measure_method
    from throughtime.benchmark.methods_report import methods_header, methods_heading, methods_row

    methods = candidates()
    for cell, figures in by_cell.items():
        say(f"{methods_heading(cell, shape)}\n{methods_header()}")
        for number, candidate in enumerate(methods, start=1):
            progress(f"{number} of {len(methods)}: {cell} {candidate.label} ...")
            try:
                figures.append(measure_method(candidate, cell, shape, protocol))
            finally:
                progress("")
            say(methods_row(figures[-1]))
