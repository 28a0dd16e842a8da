"""Saturation of activations, time constants of gates, and dead units of a recurrence."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from throughtime.cells import ActivationValues
from throughtime.diagnosis.quantiles import QUANTILES
from throughtime.models.recording import RecordedRun
from throughtime.records import Activation, Role, Units
from throughtime.sequences.row_norms import joint_norm, row_norm
from throughtime.types import State

BINS = 20
EDGE = 1 / 20
"""Share of an activation's range at either end that counts as saturated. There tanh has a slope below 0.2."""
VALUES_AT_A_TIME = 2**22
"""The number of values of an activation that are held at a time, about."""


def activations_of(run: RecordedRun) -> list[Activation]:
    """Measure every kind of activation of a run, over all valid steps, rows and units.

    Only finite values count; without any, the mean is nan and the shares are 0. `at_low` and `at_high` are the shares
    within a twentieth of the range from either end; for a range with a single end (ReLU), the share that lies on it;
    without ends 0. A unit's time constant is -1 / mean ln(kept share), 0 where it once kept nothing at all and inf
    where it kept everything up to rounding; the quantiles are over units, without interpolation.

    Cost: two forward steps for every step, O(T·B·(I + H)·H); memory for 4 million values of each kind at a time.
    """
    seen: dict[str, _Extent] = {}  # the first of two passes: a histogram needs its ends before it counts
    for _, x, entering in _stretches(run):
        for activation in run.cell.activations(run.parameters, x, entering):
            seen.setdefault(activation.name, _Extent()).widen(activation.values)
    tallies: dict[str, _Tally] = {}
    for _, x, entering in _stretches(run):
        for activation in run.cell.activations(run.parameters, x, entering):
            name = activation.name
            if name not in tallies:
                ends = seen[name].ends(activation)
                tallies[name] = _Tally(name, Role(activation.role), activation.low, activation.high, ends)
            tallies[name].add(activation.values)
    return [tally.record() for tally in tallies.values()]


def units_of(run: RecordedRun) -> Units:
    """Count the units and the dead units of h, and measure h by step.

    A unit is dead if its h has the same value, up to rounding, at all valid steps and in all rows; in a single step of
    a single row no unit is called dead. A step that no row reaches has the size nan. `preactivation` is over all
    content activations whose arguments the cell gives.

    Cost: two forward steps for every step, O(T·B·(I + H)·H); memory likewise.
    """
    steps = len(run.sequence.x)
    extent, applied, count = _Extent(), 0.0, 0
    norms, rows = [run.direct[0].new_zeros(0).double()], torch.zeros(steps, dtype=torch.int64)
    for numbers, x, entering in _stretches(run):
        h = run.cell.step(run.parameters, x, entering)[0]
        extent.widen_units(h)
        norms.append(row_norm((h.double() / math.sqrt(h.shape[-1]),)))
        rows += numbers.bincount(minlength=steps)
        for activation in run.cell.activations(run.parameters, x, entering):
            if activation.role == "content" and activation.preactivation is not None:
                applied = math.hypot(applied, joint_norm([activation.preactivation]))
                count += activation.preactivation.numel()
    by_row = run.sequence.from_rows(torch.cat(norms)[:, None])[..., 0]
    return Units(
        units=run.direct[0].shape[-1],
        dead=extent.constant_units() if rows.sum() > 1 else 0,
        state_norms=row_norm((by_row / rows.to(by_row).sqrt()[:, None],)).tolist(),
        preactivation=applied / math.sqrt(count) if count else math.nan,
    )


def _stretches(run: RecordedRun) -> Iterator[tuple[Tensor, Tensor, State]]:
    """Yield the valid steps in stretches that fit into memory.

    A stretch has, for each valid (step, row) in it, the number of the step (on the CPU), the input, and the state that
    enters.
    """
    steps, batch = run.sequence.shape
    widest = max(member.shape[-1] for member in (run.sequence.x, *run.entering))
    length = max(1, VALUES_AT_A_TIME // (max(1, batch) * widest))
    for start in range(0, steps, length):
        stop = min(start + length, steps)
        part = run.sequence.part(start, stop, run.sequence.initial)
        numbers = torch.arange(start, stop, device=part.x.device)[:, None].expand(-1, batch)
        entering = tuple(part.rows(member[start:stop]) for member in run.entering)
        x = part.rows(part.x)
        if len(x):
            with torch.no_grad():
                yield part.rows(numbers).cpu(), x, entering


@dataclass
class _Extent:
    """The least and the greatest value so far."""

    least: Tensor | None = None
    greatest: Tensor | None = None

    def widen(self, values: Tensor) -> None:
        """Widen by the finite values, over all units together."""
        finite = values[values.isfinite()]
        if len(finite):
            self.widen_units(finite[:, None])

    def widen_units(self, values: Tensor) -> None:
        """Widen by values [rows, units], each unit for itself."""
        low, high = values.amin(0), values.amax(0)
        self.least = low if self.least is None else torch.minimum(self.least, low)
        self.greatest = high if self.greatest is None else torch.maximum(self.greatest, high)

    def ends(self, activation: ActivationValues) -> tuple[float, float]:
        """Return the ends of the range, or the extreme values without a range. They are never the same value twice."""
        low = activation.low if self.least is None or math.isfinite(activation.low) else float(self.least)
        high = activation.high if self.greatest is None or math.isfinite(activation.high) else float(self.greatest)
        low, high = (low if math.isfinite(low) else 0.0), (high if math.isfinite(high) else 0.0)
        return (low, high) if low < high else (low, low + max(1.0, abs(low)))

    def constant_units(self) -> int:
        """Count the units that had a single value, up to rounding."""
        assert self.least is not None and self.greatest is not None
        size = torch.maximum(self.least.abs(), self.greatest.abs())
        return int((self.greatest - self.least <= 4 * torch.finfo(size.dtype).eps * size).sum())


@dataclass
class _Tally:
    """Counts of an activation.

    `low` and `high` are the ends of its range, which may be infinite; `ends` are those of its histogram.
    """

    name: str
    role: Role
    low: float
    high: float
    ends: tuple[float, float]
    bins: Tensor = field(default_factory=lambda: torch.zeros(BINS, dtype=torch.float64))
    count: int = 0
    total: float = 0.0
    at_low: int = 0
    at_high: int = 0
    rows: int = 0
    logarithms: Tensor | None = None

    def add(self, values: Tensor) -> None:
        """Count values [rows, units]."""
        finite = values[values.isfinite()]
        span = self.high - self.low
        margin = EDGE * span if math.isfinite(span) else 0.0
        self.count += len(finite)
        self.total += float(finite.double().sum())
        self.at_low += int((finite <= self.low + margin).sum())
        self.at_high += int((finite >= self.high - margin).sum())
        self.bins += torch.histc(finite.double(), BINS, *self.ends).cpu()
        if self.role is Role.KEEP:
            self.rows += len(values)
            logarithms = values.double().log().sum(0)
            self.logarithms = logarithms if self.logarithms is None else self.logarithms + logarithms

    def record(self) -> Activation:
        """Return the counts as shares."""
        low, high = self.ends
        of_all = 1 / max(1, self.count)
        return Activation(
            name=self.name,
            role=self.role,
            low=self.low,
            high=self.high,
            mean=self.total / self.count if self.count else math.nan,
            at_low=self.at_low * of_all,
            at_high=self.at_high * of_all,
            histogram=(self.bins * of_all).tolist(),
            edges=[low + (high - low) * i / BINS for i in range(BINS + 1)],
            time_constants=[] if self.logarithms is None else self._time_constants(self.logarithms),
        )

    def _time_constants(self, logarithms: Tensor) -> list[float]:
        constants = (logarithms / self.rows).abs().reciprocal().cpu()  # ln ≤ 0, and 1/-0 would be -inf
        levels = torch.tensor(QUANTILES, dtype=constants.dtype)
        return torch.nanquantile(constants, levels, interpolation="nearest").tolist()
