"""throughtime bench: the layers against torch.nn, and jax.lax.scan where jax is installed."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from throughtime.benchmark.grid import GATES, GRID, GRID_ITSELF, QUICK, VARIANT_SHAPES, VARIANTS, Case, Shape
from throughtime.errors import ArgumentError

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
    parser.add_argument("--cells", type=str, default=",".join(GATES), help="Which, parted by commas. (%(default)s)")
    parser.add_argument(
        "--shapes",
        type=str,
        default="",
        metavar="BxHxT,...",
        help="Rows x hidden units x steps, parted by commas, instead of the grid's fifteen: 1x32x100,32x128x100.",
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
    cases = _cases(arguments)
    targets = {name: _target(name, getattr(arguments, name)) for name in ("json", "plot")}
    if arguments.threads < 0:
        raise ArgumentError(f"--threads is {arguments.threads}; it must be at least 1, or 0 for torch's own choice.")
    from throughtime.benchmark.jax_scan import find_jax
    from throughtime.benchmark.machine import lines, machine
    from throughtime.benchmark.measure import BRIEF, FULL, threads
    from throughtime.benchmark.report import EXPLANATION

    with threads(arguments.threads), _instruction_set(arguments.instruction_set):
        found = machine()
        scan, sentence = find_jax(found["threads"])
        found["versions"]["jax"] = scan.version if scan else None
        for line in (*lines(found), f"Peer      {sentence}", "", *EXPLANATION, ""):
            _say(line)
        protocol, measurements = BRIEF if arguments.quick else FULL, []
        try:
            _measure(cases, protocol, scan, measurements)
        finally:
            # Also after Ctrl-C or an error: what was measured is not lost.
            _finish(found, protocol, measurements, len(cases), targets)
    return 1 if any(one.failures for one in measurements) else 0


def _cases(arguments: "Namespace") -> list[Case]:
    cells = _choice("--cells", arguments.cells, list(GATES))
    given = [Shape.parse(text) for text in arguments.shapes.split(",")] if arguments.shapes else []
    wanted = arguments.variants or ("none" if arguments.quick or given else "all")
    names = {"all": list(VARIANTS), "none": []}.get(wanted)
    variants = [VARIANTS[name] for name in (_choice("--variants", wanted, list(VARIANTS)) if names is None else names)]
    shapes = given or list(QUICK if arguments.quick else GRID)
    beside = given or [shape for shape in VARIANT_SHAPES if not arguments.quick or shape in QUICK]
    return [Case(cell, shape, GRID_ITSELF) for cell in cells for shape in shapes] + [
        Case(cell, shape, variant) for variant in variants for cell in cells for shape in beside
    ]


def _choice(option: str, text: str, allowed: list[str]) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in allowed:
            raise ArgumentError(f"{option} has {name!r}; there are {', '.join(allowed)}, parted by commas.")
    return list(dict.fromkeys(names))


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
def _instruction_set(name: str) -> Iterator[None]:
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
            _say(f"{heading(variant)}\n{header()}")
        _progress(f"{number} of {len(cases)}: {case} ...")
        try:
            measurements.append(measure(case, protocol, scan))
        finally:
            _progress("")
        _say(row(measurements[-1]))


def _finish(
    machine: dict[str, Any],
    protocol: "Protocol",
    measurements: "list[Measurement]",
    wanted: int,
    targets: dict[str, Path | None],
) -> None:
    from throughtime.benchmark.report import as_json, summary

    complete = len(measurements) == wanted
    _say("")
    if not complete:
        _say(f"Ended early: {len(measurements)} of {wanted} cases were measured.")
    for line in summary(measurements):
        _say(line)
    if targets["json"]:
        content = json.dumps(as_json(machine, protocol, measurements, complete), indent=1, allow_nan=False) + "\n"
        with _aside("json", targets["json"]) as aside:
            aside.write_text(content, encoding="utf-8")
    if targets["plot"]:
        _plot(measurements, targets["plot"])


def _plot(measurements: "list[Measurement]", path: Path) -> None:
    if find_spec("matplotlib") is None:
        _say("No plot: matplotlib is not installed (pip install 'throughtime[report]').")
        return
    from throughtime.benchmark.plot import draw

    with _aside("plot", path) as aside:
        draw(measurements, aside, path.suffix.lower().removeprefix("."))


@contextmanager
def _aside(option: str, path: Path) -> Iterator[Path]:
    """A file beside `path` that takes its place once it is complete."""
    aside = path.with_name(f"{path.name}.partial")
    try:
        yield aside
        aside.replace(path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise ArgumentError(
            f"--{option} {path}: could not be written ({error.strerror}); name a file in a folder that has room."
        ) from error


def _say(line: str) -> None:
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(line.encode(encoding, "replace").decode(encoding) + "\n")
    sys.stdout.flush()


def _progress(text: str) -> None:
    """One line that is overwritten, for somebody who is watching."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()
