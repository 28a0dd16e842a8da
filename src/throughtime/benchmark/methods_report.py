"""Figures of the gradient methods as text, and as plain values for a file."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from throughtime.benchmark.grid import Shape
from throughtime.benchmark.methods import TOLERANCE, MethodFigures
from throughtime.benchmark.tables import aligned, finite

EXPLANATION = (
    "ms: median of forward + backward pass for the gradients of the weights; time: the median over BPTT's, in turns",
    "in this process. saved: KB that the forward pass keeps for the backward pass, beside inputs and weights; peak:",
    "the most KB that the backward pass holds beyond those, gradients included, temporaries of an operation left out.",
    "error: relative distance of the weights' gradient from BPTT's in float64; cosine: of the angle between both. An",
    f"exact method is timed only if its gradients are within {TOLERANCE:g} of BPTT's, inputs and states included.",
)

_NAMES = ("method", "exact", "ms", "time", "saved", "peak", "error", "cosine")
_WIDTHS = (-32, 7, 11, 10, 10, 10, 10, 9)


def methods_heading(cell: str, shape: Shape) -> str:
    """Return the line above the rows of a cell."""
    return f"-- {cell}, {shape} (rows x hidden units x steps), {shape.input_size} inputs, float32"


def methods_header() -> str:
    """Return the names of the columns."""
    return aligned(_NAMES, _WIDTHS)


def methods_row(measured: MethodFigures) -> str:
    """Return the line of a method."""
    label = aligned((measured.label,), _WIDTHS)
    if measured.refusal is not None:
        return f"{label}  does not serve it: {measured.refusal}"
    if measured.failed:
        return f"{label}  PARITY FAILED, not timed: {measured.worst:.1e} from BPTT, allowed {TOLERANCE:.0e}"
    assert measured.seconds is not None and measured.saved is not None and measured.peak is not None
    figures = (
        "yes" if measured.exact else "no",
        f"{measured.seconds.median * 1e3:.3f}",
        f"{measured.ratio:.2f}",
        *(f"{size / 1e3:.1f}" for size in (measured.saved, measured.peak)),
        f"{measured.error:.1e}" if measured.exact else f"{measured.error:.3f}",
        f"{measured.cosine:.4f}",
    )
    return aligned((measured.label, *figures), _WIDTHS)


def methods_as_json(
    machine: dict[str, Any],
    protocol: Any,
    shape: Shape,
    by_cell: Mapping[str, Sequence[MethodFigures]],
    complete: bool,
) -> dict[str, Any]:
    """Return all measurements for JSON; non-finite numbers become their names.

    Args:
        machine: see `machine.machine`.
        protocol: how long each method was measured.
        shape: the shape of all runs.
        by_cell: cell → figures of the methods.
        complete: False if the run was ended early.
    """
    rows = {
        cell: [{**asdict(measured), "ratio": measured.ratio, "failed": measured.failed} for measured in figures]
        for cell, figures in by_cell.items()
    }
    content = {"machine": machine, "protocol": asdict(protocol), "shape": asdict(shape), "complete": complete}
    return finite({**content, "methods": rows})
