"""throughtime bench: the layers against torch.nn, and jax.lax.scan where jax is installed."""

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

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

    from throughtime.benchmark.measure import Protocol
    from throughtime.benchmark.measurement import Measurement

HELP = "Measure the layers against torch.nn, and against jax.lax.scan where jax is installed."

_MORE = """\
Every case is checked first; one whose results are further from float64 than torch.nn's allow is not timed, and the exit
code is then 1. A missed goal is said, and does not change it. Ctrl-C ends early with what was measured."""

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
        "--cells",
        type=str,
        default="",
        help=f"Which of {','.join(GATES)}, parted by commas. Default: all of them, with --methods rnn.",
    )
    parser.add_argument(
        "--shapes",
        type=str,
        default="",
        metavar="BxHxT,...",
        help="Rows x hidden units x steps, parted by commas, instead of the grid's fifteen: 1x32x100,32x128x100. "
        "With --methods one of them; default: 8x32x100.",
    )
    parser.add_argument(
        "--variants",
        type=str,
        default="",
        help=f"Beside the grid: all, none, or some of {','.join(VARIANTS)}. Default: all, but none with --quick or "
        "--shapes.",
    )
    parser.add_argument("--threads", type=int, default=0, help="Threads of torch; 0: its own choice. (%(default)s)")
    parser.add_argument("--instruction-set", type=str, default="", help="avx512, avx2 or baseline; default: the best.")
    parser.add_argument("--json", type=str, default="", metavar="FILE", help="Also write everything to this file.")
    parser.add_argument("--plot", type=str, default="", metavar="FILE", help="Also draw the grid: a .png file.")


def run(arguments: "Namespace") -> int:
    """Measure and print line by line; return 0, or 1 if a case failed parity.

    Raises:
        ArgumentError: an option that is wrong, before any work; a file that cannot be written, after all of it.
    """
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


def _cases(arguments: "Namespace") -> list[Case]:
    cells = choice("--cells", arguments.cells or ",".join(GATES), list(GATES))
    given = [Shape.parse(text) for text in arguments.shapes.split(",")] if arguments.shapes else []
    wanted = arguments.variants or ("none" if arguments.quick or given else "all")
    names = {"all": list(VARIANTS), "none": []}.get(wanted)
    variants = [VARIANTS[name] for name in (choice("--variants", wanted, list(VARIANTS)) if names is None else names)]
    shapes = given or list(QUICK if arguments.quick else GRID)
    beside = given or [shape for shape in VARIANT_SHAPES if not arguments.quick or shape in QUICK]
    return [Case(cell, shape, GRID_ITSELF) for cell in cells for shape in shapes] + [
        Case(cell, shape, variant) for variant in variants for cell in cells for shape in beside
    ]


def choice(option: str, text: str, allowed: list[str]) -> list[str]:
    """The names in `text`, each once; raises `ArgumentError` for one that is not allowed."""
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in allowed:
            raise ArgumentError(f"{option} has {name!r}; there are {', '.join(allowed)}, parted by commas.")
    return list(dict.fromkeys(names))


def checked_targets(arguments: "Namespace") -> dict[str, Path | None]:
    """The files to write, with all that is the same for every measurement checked."""
    if arguments.threads < 0:
        raise ArgumentError(f"--threads is {arguments.threads}; it must be at least 1, or 0 for torch's own choice.")
    return {name: _target(name, getattr(arguments, name)) for name in ("json", "plot")}


def _target(option: str, text: str) -> Path | None:
    """The file to write, refused now rather than after an hour of measuring."""
    if not text:
        return None
    path = Path(text)
    if option == "plot" and path.suffix.lower().removeprefix(".") not in PLOT_KINDS:
        raise ArgumentError(f"--plot {path}: the name must end in .{', .'.join(PLOT_KINDS)}.")
    if path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise ArgumentError(f"--{option} {path}: not a file in a folder that exists and can be written to; name one.")
    return path


@contextmanager
def chosen_instruction_set(name: str) -> Iterator[None]:
    """Let the kernels use this one; "" for the one they do."""
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
    """Whether there is something to plot with; says so if not."""
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
