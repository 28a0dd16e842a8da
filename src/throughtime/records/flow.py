"""Record and file of a diagnosis of the gradient's flow through time.

The symbols are those of `throughtime.records.measures`.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from throughtime.errors import RunFolderError
from throughtime.records.files import damaged, versioned, write_aside
from throughtime.records.finding import Finding, NonFinite
from throughtime.records.measures import Activation, GainMap, Horizon, LagCurve, LagShare, Lyapunov, Spectrum, Units
from throughtime.records.memory import Memory
from throughtime.records.plain import from_plain, to_plain
from throughtime.records.ranges import (
    Consistent,
    Count,
    FieldError,
    Label,
    Norm,
    NotNegative,
    Share,
    Size,
    check_length,
    shown,
)

DIAGNOSES = "diagnosis.json"
FLOW_FORMAT = 1
"""Version of the file's layout; a file of another version is refused."""


@dataclass(frozen=True)
class KeepGate:
    """Gate whose bias sets how long a cell keeps its state.

    With the other pre-activations at 0, it keeps the share σ(`sign` · bias) of the state at every step.

    Attributes:
        gate: the name of the gate.
        block, blocks: the gate's block of the bias, counted from 0, and the number of blocks.
        sign: 1 where a larger bias keeps more of the state, -1 where it keeps less.
        writes: the block of the gate that lets new content in, whose bias is set to the opposite; None without it.
    """

    gate: str
    block: Count
    blocks: Size
    sign: int = 1
    writes: Count | None = None


@dataclass(frozen=True)
class CellTraits:
    """The properties of a cell that verdicts and advice depend on.

    Attributes:
        affine: whether its parameters have torch.nn's names ("weight_hh", "bias_ih", …).
        bias: whether it has biases.
        slope_bound: γ where J_t = diag(φ'(a_t)) W_hh with |φ'| ≤ γ, or φ' = γ in a linear cell; None for other forms
            of step.
        keep: the gate that keeps the state; None without such a gate.
    """

    affine: bool = False
    bias: bool = False
    slope_bound: Norm | None = None
    keep: KeepGate | None = None


@dataclass(frozen=True)
class LayerFlow(Consistent):
    """Diagnosis of a recurrent layer in a single direction.

    Attributes:
        name: the name that a tap gives it: "recurrent.l0", "l1_reverse".
        cell: the name of the cell's class.
        linear: whether J_t does not depend on the state.
        size: the number S of state entries.
        by_step: root mean square over rows of ‖∂L/∂s_t‖, total, before clipping, for t = 0 … T - 1.
        by_member: the same for each member of the state.
        clipped: the share of steps at which per-step clipping took hold; 0 without clipping.
        by_lag, horizons, shares, gains, spectrum, lyapunov, activations, units: see the classes of these records; None
            or empty where the diagnosis left a part out or could not compute it.
        depth: the layer's number in its module, counted from 0 at the input.
        reverse: whether it runs from the last step to the first; its steps are then counted in that order.
        traits: the properties of its cell; all absent in files written before they were recorded.
    """

    name: Label
    cell: Label
    linear: bool
    size: Size
    by_step: list[Norm]
    by_member: dict[Label, list[Norm]]
    clipped: Share
    by_lag: LagCurve | None = None
    horizons: list[Horizon] = field(default_factory=list)
    shares: list[LagShare] = field(default_factory=list)
    gains: GainMap | None = None
    spectrum: Spectrum | None = None
    lyapunov: Lyapunov | None = None
    activations: list[Activation] = field(default_factory=list)
    units: Units | None = None
    depth: Count = 0
    reverse: bool = False
    traits: CellTraits = CellTraits()

    def check(self) -> None:
        """Raise `FieldError` where parts do not fit together."""
        for member, norms in self.by_member.items():
            check_length(norms, len(self.by_step), f".by_member.{member}")


@dataclass(frozen=True)
class Flow(Consistent):
    """Diagnosis of a model on a batch.

    Attributes:
        update: the number of updates of the weights before it; None where they were not counted.
        steps, rows: T and B of the batch.
        loss: L.
        wanted_lag: the lag, in steps, over which the gradient should last; the verdict is about this lag.
        layers: the recurrent layers in the order of the computation.
        nonfinite: the first value that is not finite; None where all are finite.
        finding: the verdict.
        seconds: the time that the diagnosis took.
        memory: which past the model uses, by its loss; None where that was not measured.
    """

    update: Count | None
    steps: Size
    rows: Size
    loss: float
    wanted_lag: Count
    layers: list[LayerFlow]
    nonfinite: NonFinite | None
    finding: Finding | None
    seconds: NotNegative
    memory: Memory | None = None

    def check(self) -> None:
        """Raise `FieldError` where parts do not fit together."""
        for i, layer in enumerate(self.layers):
            check_length(layer.by_step, self.steps, f".layers[{i}].by_step")


def write_flows(folder: Path, flows: list[Flow]) -> None:
    """Write `diagnosis.json`."""
    plain = {"format": FLOW_FORMAT, "diagnoses": to_plain(flows)}
    write_aside(folder / DIAGNOSES, (json.dumps(plain, allow_nan=False) + "\n").encode())


def read_flows(folder: Path) -> list[Flow]:
    """Read `diagnosis.json`. Raises `RunFolderError` where the file is missing, damaged or of another version."""
    cure = f"make it anew, with throughtime diagnose {folder}"
    plain, version = versioned(folder, DIAGNOSES, cure)
    if version != FLOW_FORMAT:
        raise RunFolderError(
            f"{folder / DIAGNOSES} has format {shown(version)} and this throughtime reads format {FLOW_FORMAT}: "
            f"diagnose the run anew, with throughtime diagnose {folder}."
        )
    try:
        return from_plain(_DiagnosesFile, plain | {"diagnoses": _with_places(plain.get("diagnoses"))}).diagnoses
    except FieldError as misfit:
        raise damaged(folder / DIAGNOSES, cure, misfit) from None


@dataclass(frozen=True)
class _DiagnosesFile:
    """Content of `diagnosis.json`."""

    format: int
    diagnoses: list[Flow]


def _with_places(flows: Any) -> Any:
    """Add depth and direction to the layers of an older file. Older files have both in the layer's name alone."""
    if not isinstance(flows, list):
        return flows
    return [
        flow | {"layers": [_with_place(layer) for layer in flow["layers"]]}
        if isinstance(flow, dict) and isinstance(flow.get("layers"), list)
        else flow
        for flow in flows
    ]


def _with_place(layer: Any) -> Any:
    name = layer.get("name") if isinstance(layer, dict) else None
    place = re.search(r"\bl(\d{1,9})(_reverse)?$", name) if isinstance(name, str) else None
    return layer if place is None else {"depth": int(place[1]), "reverse": place[2] is not None} | layer
