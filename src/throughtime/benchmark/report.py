"""Measurements as text, and as plain values for a file."""

from collections.abc import Sequence
from dataclasses import asdict
from math import inf, isnan
from typing import Any

from throughtime.benchmark.figures import Measurement, Timing
from throughtime.benchmark.goals import COSTS, GoalCheck, Quantity, goal_checks, means
from throughtime.benchmark.grid import GOALS_THREADS, Variant
from throughtime.benchmark.tables import aligned, finite
from throughtime.wording import plural

EXPLANATION = (
    "torch, ours, jax: median ms of forward + backward with the gradients of the input and of all parameters, taking",
    "turns in this process. ratio: torch.nn's median over ours; min: of the shortest times. %product: FLOPs of the",
    "matrix products alone, 6 G N H (I + H), over our median time, as a share of torch.mm's rate on large matrices,",
    "which is not the fastest product on every machine. saved: bytes kept for the backward pass beside input and",
    "parameters, ours over torch.nn's. own: our median time per valid step, relative to full sequences.",
    "other: share of the machine that other programs used meanwhile. Before timing, each case is compared with",
    f"torch.nn in float64. The goals above 1 are set for {GOALS_THREADS} threads and for the grid itself.",
)

QUIET = 0.1
"""Share of CPU time of other programs from which on the report mentions them."""

_NAMES = ("cell", "B", "H", "T", "torch", "ours", "jax", "ratio", "min", "%product", "saved", "own", "other")
_WIDTHS = (-5, 4, 6, 7, 10, 10, 9, 8, 8, 9, 7, 6, 7)


def header() -> str:
    """Return the names of the columns."""
    return aligned(_NAMES, _WIDTHS) + "  goals"


def heading(variant: Variant) -> str:
    """Return the line above the rows of a variant."""
    return f"-- {variant.name}: {variant.title}" if variant.name else f"-- {variant.title}"


def row(measurement: Measurement) -> str:
    """Return the line of a case."""
    case, timings = measurement.case, measurement.timings
    place = (case.cell, str(case.shape.batch), str(case.shape.hidden), str(case.shape.steps))
    if timings is None:
        return f"{aligned(place, _WIDTHS)}  {failure(measurement)}"
    figures = (
        *(_milliseconds(timing) for timing in (timings.torch, timings.ours, timings.jax)),
        *(_format(value, ".2f") for value in (measurement.ratio, measurement.ratio_of_minima)),
        _format(measurement.share, ".0%"),
        *(_format(value, ".2f") for value in (measurement.saved_ratio, measurement.own_cost)),
        _format(timings.other_load, ".0%"),
    )
    return f"{aligned((*place, *figures), _WIDTHS)}  {', '.join(map(_short, goal_checks(measurement)))}".rstrip()


def failure(measurement: Measurement) -> str:
    """Return a sentence on the worst tensor of a case that failed parity."""
    worst = max(
        measurement.failures, key=lambda distance: inf if isnan(distance.ours) else distance.ours / distance.limit
    )
    return (
        f"PARITY FAILED, not timed: {worst.name} is {worst.ours:.1e} from float64, torch.nn {worst.torch:.1e}, "
        f"allowed {worst.limit:.1e}"
    )


def summary(measurements: Sequence[Measurement]) -> list[str]:
    """Return the closing lines: means by cell, slower cases, missed goals, failures of parity."""
    lines = []
    for mean in means(measurements):
        goal = "" if mean.goal is None else f" (goal {mean.goal:g}: {'ok' if mean.met else 'BELOW'})"
        lines.append(
            f"{mean.cell}: geometric mean of the ratios {mean.geomean:.2f}{goal}, of the minima "
            f"{mean.geomean_of_minima:.2f}, over {plural(mean.shapes, 'shape')}; worst {mean.worst.ratio:.2f} at "
            f"{mean.worst.case.shape}."
        )
    slower = [measurement for measurement in measurements if measurement.ratio is not None and measurement.ratio < 1]
    timed = [measurement for measurement in measurements if measurement.ratio is not None]
    if timed:
        lines.append(f"Slower than torch.nn: {len(slower)} of {len(timed)} cases{':' if slower else '.'}")
        lines += [f"  {measurement.case}: {measurement.ratio:.3f}" for measurement in slower]
    return lines + _disturbed(measurements) + _missed(measurements) + _failed(measurements)


def _missed(measurements: Sequence[Measurement]) -> list[str]:
    judged = [(str(measurement.case), check) for measurement in measurements for check in goal_checks(measurement)]
    missed = [f"  {case}: {_long(check)}" for case, check in judged if not check.met]
    goals = [mean for mean in means(measurements) if mean.goal is not None]
    missed += [
        f"  {mean.cell}: geometric mean {mean.geomean:.2f}, goal {mean.goal:g}" for mean in goals if not mean.met
    ]
    count = len(judged) + len(goals)
    return [f"Goals missed: {len(missed)} of {count}{':' if missed else '.'}", *missed] if count else []


def _disturbed(measurements: Sequence[Measurement]) -> list[str]:
    loads = [
        measurement.timings.other_load
        for measurement in measurements
        if measurement.timings and measurement.timings.other_load is not None
    ]
    disturbed = sum(load > QUIET for load in loads)
    if not disturbed:
        return []
    return [
        f"Disturbed: during {disturbed} of {len(loads)} cases other programs used more than {QUIET:.0%} of the "
        "machine. Two threads on a busy machine can be many times slower, on either side: measure such cases again."
    ]


def _failed(measurements: Sequence[Measurement]) -> list[str]:
    failed = [f"  {measurement.case}: {failure(measurement)}" for measurement in measurements if measurement.failures]
    return [f"Parity: failed in {len(failed)} of {len(measurements)} cases{':' if failed else '.'}", *failed]


def as_json(machine: dict[str, Any], protocol: Any, measurements: Sequence[Measurement], complete: bool) -> dict:
    """Return all measurements for JSON; non-finite numbers become their names.

    Args:
        machine: see `machine.machine`.
        protocol: how long each case was measured.
        measurements: the cases.
        complete: False if the run was ended early.
    """
    rows = [_row_as_json(measurement) for measurement in measurements]
    content = {"machine": machine, "protocol": asdict(protocol), "complete": complete, "rows": rows}
    return finite(content)


def _row_as_json(measurement: Measurement) -> dict[str, Any]:
    figures = ("ratio", "ratio_of_minima", "jax_ratio", "own_cost", "share", "saved_ratio")
    judged = [
        {"figure": check.quantity.value, "value": check.value, "goal": check.bound, "met": check.met}
        for check in goal_checks(measurement)
    ]
    content = asdict(measurement)
    return {**content, **{name: getattr(measurement, name) for name in figures}, "goals": judged}


def _milliseconds(timing: Timing | None) -> str:
    return _format(None if timing is None else timing.median * 1e3, ".3f")


def _format(value: float | None, how: str) -> str:
    return "-" if value is None else format(value, how)


def _short(check: GoalCheck) -> str:
    """Return the goal for the end of a row; the figure stands in its column."""
    if check.quantity in COSTS:
        return f"{check.quantity.value.split()[0]} <= {check.bound:.3g} {check.word}"
    if check.quantity is Quantity.SHARE:
        return f">= {check.bound:.0%} {check.word}"
    return f"{'jax ' if check.quantity is Quantity.JAX else ''}>= {check.bound:g} {check.word}"


def _long(check: GoalCheck) -> str:
    if check.quantity is Quantity.SHARE:
        return f"{check.value:.1%} of torch.mm's rate, goal {check.bound:.0%}"
    most = "at most " if check.quantity in COSTS else ""
    return f"{check.quantity.value} {check.value:.3f}, goal {most}{check.bound:.3g}"
