"""Measure the cost of reading ∂L/∂h_t in every backward pass: `throughtime bench --tap`."""

from typing import TYPE_CHECKING

from throughtime.benchmark.grid import CELLS, QUICK, Shape
from throughtime.commands._bench_options import checked_targets, choice, chosen_instruction_set
from throughtime.commands._output_files import write_json
from throughtime.commands._terminal import progress, say
from throughtime.errors import ArgumentError

if TYPE_CHECKING:
    from jsonargparse import Namespace

    from throughtime.benchmark.measure import Turns
    from throughtime.benchmark.tapping import TapFigures


def run_tap(arguments: "Namespace") -> int:
    """Measure and print; return 1 if an open tap changed a gradient, else 0.

    Raises:
        ArgumentError: an option is wrong, before any work; or a file cannot be written, after all of it.
    """
    for name in ("variants", "plot", "methods"):
        if getattr(arguments, name):
            raise ArgumentError(name, "came with `tap`", "it is not for the tap", "leave it out")
    cells = choice("cells", arguments.cells or ",".join(CELLS), list(CELLS))
    shapes = [Shape.parse(text) for text in arguments.shapes.split(",")] if arguments.shapes else list(QUICK)
    target = checked_targets(arguments)["json"]
    from throughtime.benchmark import tapping
    from throughtime.benchmark.machine import lines, machine
    from throughtime.benchmark.measure import threads

    cases = [(cell, shape) for cell in cells for shape in shapes]
    protocol, figures = tapping.BRIEF if arguments.quick else tapping.PROTOCOL, []
    with threads(arguments.threads), chosen_instruction_set(arguments.instruction_set):
        around = machine()
        for line in (*lines(around), "", *tapping.EXPLANATION, "", tapping.tap_header()):
            say(line)
        try:
            _measure(figures, cases, protocol)
        finally:
            # Also after Ctrl-C or an error: what was measured is not lost.
            complete = len(figures) == len(cases)
            if not complete:
                say("Ended early.")
            for line in ("", *tapping.tap_summary(figures)):
                say(line)
            if target:
                write_json(tapping.tap_as_json(around, protocol, figures, complete), target)
    return 0 if all(case.same for case in figures) else 1


def _measure(figures: "list[TapFigures]", cases: list[tuple[str, Shape]], protocol: "Turns") -> None:
    """Measure every case, and print the figures."""
    from throughtime.benchmark.tapping import measure_tap, tap_row

    for number, (cell, shape) in enumerate(cases, start=1):
        progress(f"{number} of {len(cases)}: {cell} {shape} ...")
        try:
            figures.append(measure_tap(cell, shape, protocol))
        finally:
            progress("")
        say(tap_row(figures[-1]))
