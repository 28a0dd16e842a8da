"""`throughtime bench`: the layers against torch.nn, and against jax.lax.scan where jax is installed."""

import io
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from throughtime.benchmark.grid import GATES, GRID, GRID_ITSELF, QUICK, VARIANT_SHAPES, VARIANTS, Case, Shape
from throughtime.commands._terminal import progress, say
from throughtime.errors import ArgumentError
from throughtime.files import replace_file
from throughtime.wording import listed

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

    from throughtime.benchmark.measure import Protocol
    from throughtime.benchmark.measurement import Measurement

HELP = "Measure the layers against torch.nn, and against jax.lax.scan where jax is installed."

_MORE = """\
Every case is checked before it is timed. A case whose results differ too much from torch.nn in float64 is not timed,
and the exit code is 1. A missed goal is printed, and leaves the exit code as it is. Ctrl-C ends early and keeps what
was measured."""
_FOR_TRAINING = ("hidden_size", "num_layers", "epochs")

PLOT_KINDS = ("png", "svg", "pdf")


def add_arguments(parser: "ArgumentParser") -> None:
    """Declare the options of `throughtime bench`."""
    parser.description = f"{HELP} {_MORE}"
    parser.add_argument("--quick", action="store_true", help="Six shapes and shorter timings, in under two minutes.")
    parser.add_argument(
        "--methods",
        action="store_true",
        help="Instead of that: every gradient method against BPTT, in time, memory and error, on one shape.",
    )
    parser.add_argument(
        "--tap",
        action="store_true",
        help="Instead of that: what an open tap costs, on the shapes of --quick.",
    )
    parser.add_argument(
        "--train",
        type=str,
        nargs="?",
        const="pydoc",
        default="",
        metavar="FILE",
        help="Instead of that: train a model on FILE with throughtime's layers, then with torch.nn's. Without FILE: "
        "pydoc, Python's own language reference.",
    )
    parser.add_argument(
        "--cells",
        type=str,
        default="",
        help=f"Some of {','.join(GATES)}, separated by commas. Default: all; rnn with --methods; lstm with --train.",
    )
    parser.add_argument(
        "--shapes",
        type=str,
        default="",
        metavar="BxHxT,...",
        help="Rows x hidden units x steps, separated by commas, instead of the grid's fifteen: 1x32x100,32x128x100. "
        "With --methods one shape; default: 8x32x100.",
    )
    parser.add_argument(
        "--variants",
        type=str,
        default="",
        help=f"Beside the grid: all, none, or some of {','.join(VARIANTS)}. Default: all, but none with --quick or "
        "--shapes.",
    )
    for option, what in (("--hidden-size", "hidden units"), ("--num-layers", "layers"), ("--epochs", "epochs")):
        parser.add_argument(
            option, type=int, default=0, help=f"With --train: {what}; 0: as in throughtime train. (%(default)s)"
        )
    parser.add_argument("--repeat", type=int, default=1, help="With --train: pairs of trainings. (%(default)s)")
    parser.add_argument("--threads", type=int, default=0, help="Threads of torch; 0: torch's choice. (%(default)s)")
    parser.add_argument("--instruction-set", type=str, default="", help="avx512, avx2 or baseline; default: the best.")
    parser.add_argument("--json", type=str, default="", metavar="FILE", help="Also write everything to this file.")
    parser.add_argument("--plot", type=str, default="", metavar="FILE", help="Also draw the grid: a .png file.")


def run(arguments: "Namespace") -> int:
    """Measure and print line by line; return 0, or 1 if a case failed parity.

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
        found = machine()
        scan, sentence = find_jax(found["threads"])
        found["versions"]["jax"] = scan.version if scan else None
        for line in (*lines(found), f"Peer      {sentence}", "", *EXPLANATION, ""):
            say(line)
        protocol, measurements = BRIEF if arguments.quick else FULL, []
        try:
            _measure(cases, protocol, scan, measurements)
        finally:
            # Also after Ctrl-C or an error: what was measured is not lost.
            _finish(found, protocol, measurements, len(cases), targets)
    return 1 if any(one.failures for one in measurements) else 0


def _refuse_training_options(arguments: "Namespace") -> None:
    for name in (*_FOR_TRAINING, *(["repeat"] if arguments.repeat != 1 else [])):
        if getattr(arguments, name):
            raise ArgumentError(
                name, "came without `train`", "it is for trainings only", "give `train`, or leave it out"
            )


def _cases(arguments: "Namespace") -> list[Case]:
    cells = choice("cells", arguments.cells or ",".join(GATES), list(GATES))
    given = [Shape.parse(text) for text in arguments.shapes.split(",")] if arguments.shapes else []
    wanted = arguments.variants or ("none" if arguments.quick or given else "all")
    names = {"all": list(VARIANTS), "none": []}.get(wanted)
    variants = [VARIANTS[name] for name in (choice("variants", wanted, list(VARIANTS)) if names is None else names)]
    shapes = given or list(QUICK if arguments.quick else GRID)
    beside = given or [shape for shape in VARIANT_SHAPES if not arguments.quick or shape in QUICK]
    return [Case(cell, shape, GRID_ITSELF) for cell in cells for shape in shapes] + [
        Case(cell, shape, variant) for variant in variants for cell in cells for shape in beside
    ]


def choice(argument: str, text: str, allowed: list[str]) -> list[str]:
    """Return the names in a text, each once.

    Args:
        argument: the name of the argument that the text came with.
        text: names separated by commas.
        allowed: the names that may come.

    Raises:
        ArgumentError: a name is not allowed.
    """
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in allowed:
            raise ArgumentError(argument, f"has {name!r}", f"it must be some of {listed(allowed)}, separated by commas")
    return list(dict.fromkeys(names))


def checked_targets(arguments: "Namespace") -> dict[str, Path | None]:
    """Check what all measurements have in common, and return the files to write.

    Raises:
        ArgumentError: a number of threads below 0, or a file that cannot be written.
    """
    if arguments.threads < 0:
        raise ArgumentError("threads", f"is {arguments.threads}", "it must be at least 1, or 0 for torch's choice")
    return {name: _target(name, getattr(arguments, name)) for name in ("json", "plot")}


def _target(argument: str, text: str) -> Path | None:
    """Return the file to write; refuse it now rather than after an hour of measuring."""
    if not text:
        return None
    path = Path(text)
    if argument == "plot" and path.suffix.lower().removeprefix(".") not in PLOT_KINDS:
        kinds = listed((f".{kind}" for kind in PLOT_KINDS), "or")
        raise ArgumentError("plot", f"is {path}", f"the name must end in {kinds}")
    if path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise ArgumentError(argument, f"is {path}", "it must be a file in a folder that exists and can be written to")
    return path


@contextmanager
def chosen_instruction_set(name: str) -> Iterator[None]:
    """Use one instruction set in the kernels inside the block; "" for the present one."""
    from throughtime.kernels.native import describe, use_instruction_set

    before = describe().get("instruction_set")
    if name:
        use_instruction_set(name)
    try:
        yield
    finally:
        if name and before:
            use_instruction_set(str(before))


def _measure(cases: list[Case], protocol: "Protocol", scan: Any, measurements: "list[Measurement]") -> None:
    """Append a measurement for each case, and print it."""
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
    protocol: "Protocol",
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


def write_json(content: dict[str, Any], path: Path) -> None:
    """Write figures as JSON, atomically.

    Raises:
        ArgumentError: the file cannot be written.
    """
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    write_target("json", path, text.encode())


def can_plot() -> bool:
    """Return whether matplotlib is installed; print a sentence if it is not."""
    if find_spec("matplotlib") is None:
        say("No plot: matplotlib is not installed (pip install 'throughtime[report]').")
        return False
    return True


def write_plot(draw: Callable[[BinaryIO, str], None], path: Path) -> None:
    """Write a picture atomically.

    Args:
        draw: draws into a file, in a format such as "png".
        path: the file; its suffix says the format.

    Raises:
        ArgumentError: the file cannot be written.
    """
    picture = io.BytesIO()
    draw(picture, path.suffix.lower().removeprefix("."))
    write_target("plot", path, picture.getvalue())


def write_target(argument: str, path: Path, content: bytes) -> None:
    """Write a file that an option names, atomically.

    Raises:
        ArgumentError: the file cannot be written.
    """
    try:
        replace_file(path, content)
    except OSError as error:
        raise ArgumentError(
            argument,
            f"is {path}, which could not be written ({error.strerror})",
            "it must be a file in a folder that exists and has room",
            "name another file",
        ) from error
