"""Measure the layers against torch.nn and jax.lax.scan: `throughtime bench`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from throughtime.benchmark.grid import CELLS, GRID, GRID_ITSELF, QUICK, VARIANT_SHAPES, VARIANTS, Case, Shape
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
    from jsonargparse import ArgumentParser, Namespace

    from throughtime.benchmark.figures import Measurement
    from throughtime.benchmark.measure import Turns

HELP = "Measure the layers against torch.nn, and against jax.lax.scan where jax is installed."

_MORE = """\
Every case is checked before it is timed. A case whose results differ too much from torch.nn in float64 is not timed,
and the exit code is 1. A missed goal is printed, and does not change the exit code. Ctrl-C ends early and keeps what
was measured."""
_FOR_TRAINING = ("hidden_size", "num_layers", "epochs")


def add_arguments(parser: "ArgumentParser") -> None:
    """Declare the options of `throughtime bench`."""
    parser.description = f"{HELP} {_MORE}"
    parser.add_argument(
        "--quick", action="store_true", help="Measure six shapes with shorter timings, in under two minutes."
    )
    parser.add_argument(
        "--methods",
        action="store_true",
        help="Compare the gradient methods with BPTT instead, in time, memory and error, on one shape.",
    )
    parser.add_argument(
        "--tap",
        action="store_true",
        help="Measure the cost of an open tap instead, on the shapes of --quick.",
    )
    parser.add_argument(
        "--train",
        type=str,
        nargs="?",
        const="pydoc",
        default="",
        metavar="FILE",
        help="Train a model on FILE instead, with throughtime's layers and with torch.nn's. Without FILE: pydoc, "
        "Python's language reference.",
    )
    parser.add_argument(
        "--cells",
        type=str,
        default="",
        help=f"Comma-separated cells of {', '.join(CELLS)}. Default: all; rnn with --methods; lstm with --train.",
    )
    parser.add_argument(
        "--shapes",
        type=str,
        default="",
        metavar="BxHxT,...",
        help="Comma-separated shapes, batch x hidden units x time steps, in place of the grid's fifteen, such as "
        "1x32x100,32x128x100. "
        "With --methods one shape; default: 8x32x100.",
    )
    parser.add_argument(
        "--variants",
        type=str,
        default="",
        help=f"Comma-separated variants beside the grid: all, none, or of {', '.join(VARIANTS)}. Default: all, "
        "but none with --quick or --shapes.",
    )
    for option, what in (("--hidden-size", "hidden units"), ("--num-layers", "layers"), ("--epochs", "epochs")):
        parser.add_argument(
            option,
            type=int,
            default=0,
            help=f"With --train: number of {what}; 0: the default of throughtime train. (%(default)s)",
        )
    parser.add_argument(
        "--repeat", type=int, default=1, help="With --train: number of pairs of trainings. (%(default)s)"
    )
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0: torch's default. (%(default)s)")
    parser.add_argument(
        "--instruction-set",
        type=str,
        default="",
        help="Instruction set of the kernels: avx512, avx2 or baseline. Default: the best.",
    )
    parser.add_argument(
        "--json", type=str, default="", metavar="FILE", help="Also write all measurements to this file, as JSON."
    )
    parser.add_argument(
        "--plot",
        type=str,
        default="",
        metavar="FILE",
        help="Also plot the measurements to this .png, .svg or .pdf file.",
    )


def run(arguments: "Namespace") -> int:
    """Measure and print; return 1 if a case failed parity, else 0.

    Raises:
        ArgumentError: an option is wrong, before any work; or a file cannot be written, after all of it.
    """
    if arguments.train:
        from throughtime.commands._bench_train import run_train

        return run_train(arguments)
    _refuse_training_options(arguments)
    if arguments.tap:
        from throughtime.commands._bench_tap import run_tap

        return run_tap(arguments)
    if arguments.methods:
        from throughtime.commands._bench_methods import run_methods

        return run_methods(arguments)
    cases = _cases(arguments)
    targets = checked_targets(arguments)
    from throughtime.benchmark.jax_scan import find_jax
    from throughtime.benchmark.machine import lines, machine
    from throughtime.benchmark.measure import BRIEF, FULL, threads
    from throughtime.benchmark.report import EXPLANATION

    with threads(arguments.threads), chosen_instruction_set(arguments.instruction_set):
        around = machine()
        scan, sentence = find_jax(around["threads"])
        around["versions"]["jax"] = scan.version if scan else None
        for line in (*lines(around), f"Peer      {sentence}", "", *EXPLANATION, ""):
            say(line)
        protocol, measurements = BRIEF if arguments.quick else FULL, []
        try:
            _measure(cases, protocol, scan, measurements)
        finally:
            # Also after Ctrl-C or an error: what was measured is not lost.
            _finish(around, protocol, measurements, len(cases), targets)
    return 1 if any(measurement.failures for measurement in measurements) else 0


def _refuse_training_options(arguments: "Namespace") -> None:
    for name in (*_FOR_TRAINING, *(["repeat"] if arguments.repeat != 1 else [])):
        if getattr(arguments, name):
            raise ArgumentError(
                name, "came without `train`", "it is for trainings only", "give `train`, or leave it out"
            )


def _cases(arguments: "Namespace") -> list[Case]:
    cells = choice("cells", arguments.cells or ",".join(CELLS), list(CELLS))
    given = [Shape.parse(text) for text in arguments.shapes.split(",")] if arguments.shapes else []
    wanted = arguments.variants or ("none" if arguments.quick or given else "all")
    names = {"all": list(VARIANTS), "none": []}.get(wanted)
    variants = [VARIANTS[name] for name in (choice("variants", wanted, list(VARIANTS)) if names is None else names)]
    shapes = given or list(QUICK if arguments.quick else GRID)
    beside = given or [shape for shape in VARIANT_SHAPES if not arguments.quick or shape in QUICK]
    return [Case(cell, shape, GRID_ITSELF) for cell in cells for shape in shapes] + [
        Case(cell, shape, variant) for variant in variants for cell in cells for shape in beside
    ]


def _measure(cases: list[Case], protocol: "Turns", scan: Any, measurements: "list[Measurement]") -> None:
    """Measure each case, and print the result."""
    from throughtime.benchmark.measure import measure
    from throughtime.benchmark.report import header, heading, row

    variant = None
    for number, case in enumerate(cases, start=1):
        if case.variant is not variant:
            variant = case.variant
            say(f"{heading(variant)}\n{header()}")
        progress(f"{number} of {len(cases)}: {case} ...")
        try:
            measurements.append(measure(case, protocol, scan))
        finally:
            progress("")
        say(row(measurements[-1]))


def _finish(
    machine: dict[str, Any],
    protocol: "Turns",
    measurements: "list[Measurement]",
    wanted: int,
    targets: dict[str, Path | None],
) -> None:
    from throughtime.benchmark.report import as_json, summary

    complete = len(measurements) == wanted
    say("")
    if not complete:
        say(f"Ended early: {len(measurements)} of {wanted} cases were measured.")
    for line in summary(measurements):
        say(line)
    if targets["json"]:
        write_json(as_json(machine, protocol, measurements, complete), targets["json"])
    if targets["plot"] and can_plot():
        from throughtime.benchmark.plot import draw

        write_plot(lambda file, kind: draw(measurements, file, kind), targets["plot"])
