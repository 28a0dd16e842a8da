"""Inputs and targets of many series as arrays, and chunks of them."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from throughtime.data.packing import Packing
from throughtime.data.streams import Chunk, whole_as_int64
from throughtime.errors import ArgumentError, InputFileError


@dataclass(frozen=True, eq=False)
class SeriesArrays:
    """Inputs and targets of many series, end to end.

    Series i has the steps `starts[i]` to `starts[i + 1]`. The arrays may be memory-mapped: they are read in place, and
    never copied as a whole.

    Attributes:
        inputs: [steps] symbol numbers, or [steps, features] numbers. Whole numbers of any type reach the model as
            int64; floating-point numbers keep their type, which must be the model's, float32.
        targets: [steps, …], what is to be predicted after each input; types as for inputs. A target per series stands
            at the last step of the series, where `mask` is True.
        starts: [series + 1] the first step of each series, and the number of all steps.
        mask: [steps] or in the shape of the targets, True for targets that count; None: all targets count.
        weight: [steps] weights of the losses of the targets that count, finite and at least 0; None: all weigh the
            same.
        breaks: [breaks] steps, other than the first ones of series, before which the state starts anew too, such as
            those after a gap in time; None: none.

    Raises:
        InputFileError: there is no series, or a series without steps.
        ArgumentError: the arrays do not fit together.
    """

    inputs: NDArray[Any]
    targets: NDArray[Any]
    starts: NDArray[np.int64]
    mask: NDArray[np.bool_] | None = None
    weight: NDArray[np.float32] | None = None
    breaks: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if len(self.starts) < 2:
            raise InputFileError("The data hold no series, so there is nothing to read: give at least one.")
        self._check_steps()
        if self.weight is not None:
            good = np.isfinite(self.weight) & (self.weight >= 0)
            if not good.all():
                came = f"is {self.weight[good.argmin()]} at step {good.argmin()}"
                raise ArgumentError("weight", came, "it must be finite and at least 0")
        if self.breaks is not None and len(self.breaks):
            first, last = self.breaks.min(), self.breaks.max()
            if first < 0 or last >= self.steps:
                allowed = f"they must be steps from 0 to {self.steps - 1}"
                raise ArgumentError("breaks", f"reach from {first} to {last}", allowed)

    def _check_steps(self) -> None:
        for name in ("targets", "mask", "weight"):
            values = getattr(self, name)
            if values is not None and len(values) != len(self.inputs):
                raise ArgumentError(name, f"has {len(values)} steps", f"the inputs have {len(self.inputs)}")
        if self.starts[0] or self.starts[-1] != len(self.inputs):
            bounds = f"reach from {self.starts[0]} to {self.starts[-1]}"
            raise ArgumentError("starts", bounds, f"they must reach from 0 to {len(self.inputs)}, the number of steps")
        shortest = int(self.lengths.argmin())
        if self.lengths[shortest] < 1:
            raise InputFileError(f"Series {shortest} (counted from 0) has no steps: leave it out.")

    @property
    def steps(self) -> int:
        """Number of steps of all series."""
        return int(self.starts[-1])

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def counted(self) -> int:
        """Number of targets that count."""
        return self.targets.size if self.mask is None else int(self.mask.sum())

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Number of steps of each series [series]."""
        return np.diff(self.starts)

    @cached_property
    def longest(self) -> int:
        """Number of steps of the longest series."""
        return int(self.lengths.max())

    def series_of(self, steps: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of the series of each step."""
        return np.searchsorted(self.starts, steps, side="right") - 1

    @cached_property
    def _anew(self) -> NDArray[np.bool_]:
        """True [steps] where the state starts anew."""
        anew = np.zeros(self.steps, dtype=np.bool_)
        anew[self.starts[:-1]] = True
        if self.breaks is not None:
            anew[self.breaks] = True
        return anew

    def weighing(self, weight: NDArray[np.float64]) -> "SeriesArrays":
        """Return the same with weights, whose mean over the targets that count is made 1.

        The mean loss of many chunks, each weighed by its number of targets, is then the weighted mean.

        Args:
            weight: [steps] of each step's targets, finite and at least 0.

        Raises:
            InputFileError: no target that counts has a weight above 0.
        """
        counts = np.ones(self.steps) if self.mask is None else self.mask.reshape(self.steps, -1).sum(axis=1)
        total = float((weight * counts).sum())
        if counts.any() and not total > 0:
            raise InputFileError("Every target that counts has the weight 0, so nothing is left: correct the weights.")
        return replace(self, weight=(weight * (counts.sum() / total if total else 1.0)).astype(np.float32))

    def chunk(self, packing: Packing, start: int, steps: int, *, first: bool, last: bool = False) -> Chunk:
        """Return some steps of the rows of a packing, with zeros in padding.

        Args:
            packing: the series in rows.
            start: the first step of the rows.
            steps: how many steps.
            first, last: see `Chunk`.
        """
        series, step = packing.places(start, steps)
        valid = series >= 0
        at = np.where(valid, self.starts[series] + step, 0)
        inputs, targets, mask = self._read(at, series, valid)
        resets = self._anew[at] & valid
        return Chunk(
            whole_as_int64(torch.from_numpy(inputs)),
            whole_as_int64(torch.from_numpy(targets)),
            None if mask.all() else torch.from_numpy(mask),
            first,
            resets=torch.from_numpy(resets) if resets.any() else None,
            weight=None if self.weight is None else torch.from_numpy(picked(self.weight, at, valid)),
            origin=torch.from_numpy(np.stack((series, step), axis=-1)),
            last=last,
        )

    def _read(
        self, at: NDArray[np.int64], series: NDArray[np.int64], valid: NDArray[np.bool_]
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]:
        """Return inputs, targets and mask of steps [time, rows], which belong to some series; zeros where not valid."""
        mask = valid if self.mask is None else picked(self.mask, at, valid)
        return picked(self.inputs, at, valid), picked(self.targets, at, valid), mask

    def _counting_steps(self) -> NDArray[np.int64]:
        """Return the steps with a target that counts."""
        if self.mask is None:
            return np.arange(self.steps)
        return np.flatnonzero(self.mask.reshape(self.steps, -1).any(axis=1))

    def windows(self, steps: int, rows: int) -> Chunk:
        """Cut windows out of the series, spread evenly, that end at targets that count.

        A window that reaches over the beginning of its series has the end of the series before, too. Few data give
        fewer steps.

        Args:
            steps: steps of each window.
            rows: how many windows.
        """
        steps = min(steps, self.steps)
        ends = np.linspace(steps, self.steps, rows).astype(np.int64)
        counted = self._counting_steps()
        if len(counted):
            next_counted = np.minimum(np.searchsorted(counted, ends - 1), len(counted) - 1)
            ends = np.maximum(counted[next_counted] + 1, steps)
        line = Packing(np.arange(len(self)), self.lengths, ends - steps, ends)
        return self.chunk(line, 0, steps, first=True)


def picked(values: NDArray[Any], at: NDArray[np.int64], valid: NDArray[np.bool_]) -> NDArray[Any]:
    """Return the values [time, rows, …] of some steps, and zero where not valid."""
    picked = np.asarray(np.take(values, at, axis=0))
    if not valid.all():
        picked[~valid] = 0
    return picked
