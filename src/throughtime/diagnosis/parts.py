"""Measure the parts of a diagnosis, for each recurrence of a captured layer."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from throughtime.cells.base import Cell
from throughtime.diagnosis.capture import CapturedLayer, joint_norms
from throughtime.diagnosis.first_nonfinite import is_finite
from throughtime.diagnosis.gains import gain_map
from throughtime.diagnosis.horizons import horizons_of
from throughtime.diagnosis.lag_curves import profiles_of
from throughtime.diagnosis.lyapunov import lyapunov_of
from throughtime.diagnosis.saturation import activations_of, units_of
from throughtime.diagnosis.shares import shares_of
from throughtime.diagnosis.spectra import spectrum_of
from throughtime.errors import NonFiniteError
from throughtime.models.recording import RecordedRun
from throughtime.records import CellTraits, KeepGate, LayerFlow, Lyapunov
from throughtime.sequences.row_norms import row_norm
from throughtime.sequences.sequence import valid_steps

EXPONENTS = 32
"""The number of leading Lyapunov exponents, at most."""
LYAPUNOV_ROWS = 4
"""The number of rows along which exponents are computed, at most."""
LYAPUNOV_JACOBIAN_ENTRIES = 2**28
"""Largest number of entries of all Jacobians; a single row is always followed."""
SAMPLED_JACOBIANS = 16
"""The number of Jacobians whose eigenvalues are computed, at most."""
EIGENVALUE_PRODUCTS = 2**29
"""Largest sum of S³ over the Jacobians; two Jacobians are always taken."""


@dataclass(frozen=True)
class Options:
    """The options of a diagnosis that its parts read.

    Attributes:
        samples, exact_gains: see `gradient_flow`.
        generator: the source of all random choices.
        say: called with "RECURRENCE: PART" before each part, to show progress.
    """

    samples: int
    exact_gains: bool
    generator: torch.Generator
    say: Callable[[str], None]


def _lags(layer: CapturedLayer, options: Options) -> dict[str, dict[str, Any]]:
    profiles = profiles_of(layer, options.samples, options.generator)
    return {
        name: {"by_lag": profile.curve(), "horizons": horizons_of(profile, options.generator)}
        for name, profile in profiles.items()
        if profile is not None
    }


def _affordable_jacobians(run: RecordedRun) -> int:
    """Return how many sampled Jacobians the budget of eigenvalues allows."""
    return max(2, min(SAMPLED_JACOBIANS, EIGENVALUE_PRODUCTS // run.cell.state_size**3))


def _lyapunov(run: RecordedRun) -> Lyapunov | None:
    size, (steps, rows) = run.cell.state_size, run.sequence.shape
    affordable = max(1, LYAPUNOV_JACOBIAN_ENTRIES // (steps * size**2))
    try:
        return lyapunov_of(run, min(EXPONENTS, size), rows=min(LYAPUNOV_ROWS, rows, affordable))
    except NonFiniteError:  # a Jacobian may overflow where the states do not
        return None


OF_A_LAYER: dict[str, Callable[[CapturedLayer, Options], dict[str, dict[str, Any]]]] = {"lags": _lags}
"""Parts of a diagnosis that need a layer's graph.

A part gives each recurrence, by name, the fields of `LayerFlow` that it fills.
"""

OF_A_RUN: dict[str, Callable[[RecordedRun, Options], dict[str, Any]]] = {
    "shares": lambda run, options: {"shares": shares_of(run)},
    "gains": lambda run, options: {"gains": gain_map(run, options.generator, options.exact_gains)},
    "spectrum": lambda run, options: {"spectrum": spectrum_of(run, _affordable_jacobians(run))},
    "lyapunov": lambda run, options: {"lyapunov": _lyapunov(run)},
    "activations": lambda run, options: {"activations": activations_of(run), "units": units_of(run)},
}
"""Parts of a diagnosis that need a single recurrence and its trajectory.

A part gives the fields of `LayerFlow` that it fills.
"""

PARTS = (*OF_A_LAYER, *OF_A_RUN)


def layer_flows(
    layer: CapturedLayer, parts: Collection[str], options: Options, clipped: dict[str, int]
) -> list[LayerFlow]:
    """Return the record of each recurrence of the layer.

    A recurrence that computed something not finite gets no parts, only its norms by step.

    Args:
        layer: the layer, as `capture` recorded it.
        parts: the names of the parts to measure, of `PARTS`.
        options: the options that the parts read.
        clipped: the number of clipped steps of each recurrence, by name; 0 for a name that is missing.
    """
    filled: dict[str, dict[str, Any]] = {name: {} for name, run in layer.runs.items() if is_finite(run)}
    for part in (part for part in OF_A_LAYER if part in parts and filled):
        options.say(f"{', '.join(filled)}: {part}")
        for name, values in OF_A_LAYER[part](layer, options).items():
            filled.get(name, {}).update(values)
    for part in (part for part in OF_A_RUN if part in parts):
        for name, values in filled.items():
            options.say(f"{name}: {part}")
            values |= OF_A_RUN[part](layer.runs[name], options)
    return [replace(flow, **filled.get(flow.name, {})) for flow in _by_step(layer, clipped)]


def _by_step(layer: CapturedLayer, clipped: dict[str, int]) -> list[LayerFlow]:
    """Return the records with what the full backward pass tells of each recurrence."""
    flows = []
    for name, run in layer.runs.items():
        assert run.tap is not None
        valid = valid_steps(len(run.sequence.x), layer.lengths)
        rows, steps = valid.sum(1).clamp(min=1), int(valid.sum())
        place = layer.call.places[name]
        flows.append(
            LayerFlow(
                name=name,
                cell=type(run.cell).__name__,
                linear=run.cell.linear,
                size=run.cell.state_size,
                by_step=_root_mean_square(joint_norms(run), rows),
                by_member={member: _root_mean_square(norms, rows) for member, norms in run.tap.norms.items()},
                clipped=clipped.get(name, 0) / max(1, steps),
                depth=place.depth,
                reverse=place.reverse,
                traits=traits_of(run.cell, run.cell.is_affine and "bias_ih" in run.parameters),
            )
        )
    return flows


def traits_of(cell: Cell, bias: bool) -> CellTraits:
    """Return the traits of a cell that advice needs. `bias` says whether the layer has biases."""
    keep, gate = cell.keep_bias, None
    if keep is not None:
        names = cell.gate_names
        writes = None if keep.writes is None else names.index(keep.writes)
        gate = KeepGate(keep.gate, names.index(keep.gate), len(names), keep.sign, writes)
    return CellTraits(cell.is_affine, bias, cell.slope_bound, gate)


def _root_mean_square(norms: Float[Tensor, "time batch"], rows: Int[Tensor, " time"]) -> list[float]:
    """Return the root mean square by step, over the rows with that step. It is 0 where no row has the step."""
    return row_norm((norms.double() / rows.double().sqrt()[:, None],)).tolist()
