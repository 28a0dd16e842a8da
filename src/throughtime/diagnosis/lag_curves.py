"""Lag curves: the gradient of a single step's loss by lag. They are medians over sampled steps and rows."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from throughtime.diagnosis.capture import CapturedLayer
from throughtime.diagnosis.quantiles import QUANTILES
from throughtime.models.recording import RecordedRun
from throughtime.records import LagCurve
from throughtime.sequences.direction import reversed_in_time
from throughtime.sequences.sequence import steps_since_start

PASSES = 16
"""The number of backward passes for each direction of a layer, at most."""
_ENTRIES = 2**22
"""The number of ratios that torch.quantile gets at a time, about; it refuses large tensors."""


@dataclass(frozen=True)
class Profiles:
    """The gradients of sampled L_t on their way back through one recurrence.

    Attributes:
        ratios: ‖∂L_t/∂s_{t-k}‖ / ‖∂L_t/∂s_t‖ of each sample by lag [n, K + 1]; nan beyond what a sample can reach.
        units: ‖∂L_t/∂s_t‖ of each sample [n].
        rows: the row of each sample [n].
    """

    ratios: Float[Tensor, "samples lags"]
    units: Float[Tensor, " samples"]
    rows: Int[Tensor, " samples"]

    def curve(self) -> LagCurve:
        """Return mean, quantiles and number of the samples by lag."""
        quantiles = quantiles_by_lag(self.ratios, QUANTILES)
        return LagCurve(
            self.ratios.nanmean(0).tolist(),
            {str(level): curve.tolist() for level, curve in zip(QUANTILES, quantiles, strict=True)},
            (~self.ratios.isnan()).sum(0).tolist(),
            self.units.quantile(0.5).item(),
        )


def quantiles_by_lag(ratios: Tensor, levels: tuple[float, ...]) -> Float[Tensor, "levels lags"]:
    """Return the quantiles of each column, nan left out."""
    at = torch.tensor(levels, dtype=ratios.dtype)
    parts = ratios.split(max(1, _ENTRIES // len(ratios)), dim=1)
    return torch.cat([part.nanquantile(at, dim=0) for part in parts], dim=1)


def profiles_of(layer: CapturedLayer, samples: int, generator: torch.Generator) -> dict[str, Profiles | None]:
    """Measure the profiles of every recurrence of a layer, by name.

    A recurrence at which no gradient of a sampled L_t arrives has None.

    L_t is the part of the loss that enters the layer at step t of its input, through its outputs, and through its final
    state at the step that leaves it. In a stack the gradient comes down through all layers above, each with a memory;
    the gradient from other modules counts as the layer's loss. The unit of a sample is ‖∂L_t/∂s_t‖ in the same
    recurrence, so that every curve begins at 1, whatever the scale of the weights between the layers. Samples with a
    unit of 0 are left out, and a sample ends where its gradient is no longer finite.

    Rows are independent, so a backward pass serves a sample of each row. Cost: about samples / B of them, from 1 to
    16, for each direction.
    """
    profiles: dict[str, Profiles | None] = {}
    for reverse in sorted({layer.is_reverse(name) for name in layer.runs}):
        names = [name for name in layer.runs if layer.is_reverse(name) == reverse]
        chosen = _choose(layer, layer.runs[names[0]], reverse, samples, generator)
        passes = [(steps, layer.norms(_mask_at(layer, steps, reverse))) for steps in chosen]
        for name in names:
            parts = [
                _profiles_of_pass(norms[name], steps, steps_since_start(layer.runs[name].sequence))
                for steps, norms in passes
            ]
            profiles[name] = _joined(parts)
    return {name: profiles[name] for name in layer.runs}


def _choose(
    layer: CapturedLayer, run: RecordedRun, reverse: bool, samples: int, generator: torch.Generator
) -> list[Int[Tensor, " batch"]]:
    """Choose a step of each row for each pass.

    Steps are in the order of the direction; -1 for rows without a sample. Where fewer samples than rows are wanted,
    `samples` rows evenly spread over those with a loss have one each.

    The candidates of a row are the steps that reach back at least half as far as its farthest. They are cut into equal
    parts, and a step is drawn from each; where there are several parts, the last part gives its last step.
    """
    entering = layer.entering()
    entering = (reversed_in_time(entering, run.sequence.lengths) if reverse else entering).cpu()
    reach = steps_since_start(run.sequence).cpu()
    of_rows = []
    for row in range(entering.shape[1]):
        candidates = entering[:, row].nonzero()[:, 0]
        reaches = reach[candidates, row]
        of_rows.append(candidates[2 * reaches >= reaches.max()] if len(candidates) else candidates)
    with_loss = [row for row, candidates in enumerate(of_rows) if len(candidates)]
    used = set(with_loss)
    if len(with_loss) > samples:
        used = {with_loss[i * len(with_loss) // samples] for i in range(samples)}
    wanted = min(PASSES, -(-samples // len(used))) if used else 0
    picks = [_spread(steps, wanted if row in used else 0, generator) for row, steps in enumerate(of_rows)]
    passes = max(map(len, picks), default=0)
    columns = [picked + [-1] * (passes - len(picked)) for picked in picks]
    return [torch.tensor(steps, device=run.sequence.x.device) for steps in zip(*columns, strict=True)]


def _spread(candidates: Int[Tensor, " steps"], wanted: int, generator: torch.Generator) -> list[int]:
    """Draw a candidate from each of `wanted` equal parts, of several parts the last candidate from the last.

    Candidates that are fewer than the parts are all taken.
    """
    count = min(wanted, len(candidates))
    drawn = []
    for low, high in ((len(candidates) * i // count, len(candidates) * (i + 1) // count) for i in range(count)):
        drawn.append(int(torch.randint(low, high, (), generator=generator)))
    if count > 1:
        drawn[-1] = len(candidates) - 1
    return candidates[drawn].tolist()


def _mask_at(layer: CapturedLayer, steps: Int[Tensor, " batch"], reverse: bool) -> Tensor:
    """Return a mask [T, B] that is True at the step of each row. It is in the order of the input."""
    at = layer.lengths - 1 - steps if reverse else steps
    every = torch.arange(layer.call.layout.steps, device=steps.device)[:, None]
    return (every == at) & (steps >= 0)


def _profiles_of_pass(norms: Tensor, steps: Tensor, reach: Tensor) -> Profiles:
    """Read the profiles of one backward pass off its norms [T, B].

    `steps` [B] has the sampled step of each row, -1 without one; `reach` [T, B] the lags that a step can look back.
    """
    rows = (steps >= 0).nonzero()[:, 0]
    at = steps[rows]
    lags = torch.arange(int(reach[at, rows].max()) + 1, device=norms.device)
    back = norms.double()[(at[:, None] - lags).clamp(min=0), rows[:, None]]
    seen = (lags <= reach[at, rows][:, None]) & back.isfinite()
    units = back[:, 0]
    whole = seen[:, 0] & (units >= torch.finfo(norms.dtype).tiny)
    ratios = (back / units[:, None]).masked_fill(~seen, torch.nan)
    return Profiles(ratios[whole].cpu(), units[whole].cpu(), rows[whole].cpu())


def _joined(parts: list[Profiles]) -> Profiles | None:
    """Join the profiles of all passes, up to the largest lag that any sample reaches; None without samples."""
    lags = max((part.ratios.shape[1] for part in parts), default=0)
    ratios = [torch.nn.functional.pad(part.ratios, (0, lags - part.ratios.shape[1]), value=torch.nan) for part in parts]
    if not any(map(len, ratios)):
        return None
    joined = torch.cat(ratios)
    seen = int((~joined.isnan()).any(0).sum())
    return Profiles(joined[:, :seen], torch.cat([part.units for part in parts]), torch.cat([p.rows for p in parts]))
