"""Some predictions of a model, for which losses are compared with standard errors."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from throughtime.data.streams import Chunk

GROUPS = 16
"""Groups of series or rows, between which standard errors are taken."""
FEWEST_GROUPS = 4
"""With fewer groups a standard error is unknown."""

Loss = Callable[[Tensor, Chunk], Tensor]
"""Function from outputs and a chunk to the mean loss of the targets that count, a scalar."""


@dataclass(frozen=True)
class Targets:
    """Some of a chunk's targets, for which losses are compared.

    Attributes:
        chunk: the whole chunk.
        steps, rows: where each target stands [targets].
        past: how many steps before its own the target's series has in the chunk [targets].
        group: the group of series or rows that each belongs to [targets], from 0.
    """

    chunk: Chunk
    steps: Int[Tensor, " targets"]
    rows: Int[Tensor, " targets"]
    past: Int[Tensor, " targets"]
    group: Int[Tensor, " targets"]

    @classmethod
    def of(cls, chunk: Chunk, most: int) -> "Targets":
        """Choose targets that count, spread evenly.

        Where the chunk does not hold the beginning of a series, the targets are those of its second half, so that as
        long a past is known of all of them.
        """
        length, rows = chunk.targets.shape[:2]
        begins = torch.zeros(length, rows, dtype=torch.bool) if chunk.resets is None else chunk.resets.clone()
        known = begins.cumsum(0) > 0
        begins[0] = True
        at = torch.arange(length)[:, None]
        past = at - torch.where(begins, at, 0).cummax(0).values
        counts = torch.ones_like(known) if chunk.mask is None else chunk.mask.reshape(length, rows, -1).any(-1)
        places = (counts & (known | (at >= length // 2))).nonzero()
        if not len(places):
            places = counts.nonzero()
        places = _each_once(chunk, places)
        places = places[torch.linspace(0, len(places) - 1, min(most, len(places))).round().long()]
        steps, row = places.unbind(1)
        kin = row if chunk.origin is None else chunk.origin[steps, row, 0]
        group = kin.unique(return_inverse=True)[1] % GROUPS
        return cls(chunk, steps, row, past[steps, row], group)

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def longest(self) -> int:
        """Number of steps of the longest past, with a target's own step.

        Where the beginnings of series are not known, it is that of all targets.
        """
        past = self.past.min() if self.chunk.resets is None else self.past.max()
        return int(past) + 1

    @cached_property
    def gathered(self) -> Chunk:
        """The targets as a chunk [targets, 1, …] without inputs of their own."""
        mask, weight = (
            None if values is None else self.pick(values) for values in (self.chunk.mask, self.chunk.weight)
        )
        inputs, targets = self.pick(self.chunk.inputs), self.pick(self.chunk.targets)
        return Chunk(inputs, targets, mask, first=True, weight=weight)

    def pick(self, values: Tensor) -> Tensor:
        """Return the values [time, batch, …] at the targets [targets, 1, …]."""
        return values[self.steps.to(values.device), self.rows.to(values.device)][:, None]

    def groups(self) -> Iterator[Int[Tensor, " members"]]:
        """Yield the places of the targets of each group."""
        for number in self.group.unique():
            yield (self.group == number).nonzero()[:, 0]

    def cut(self, steps: int) -> Chunk:
        """Return the last `steps` steps up to each target, as rows [steps, targets, …]."""
        at = self.steps[None] - torch.arange(steps - 1, -1, -1)[:, None]
        clamped, rows = at.clamp(min=0), self.rows.expand(steps, -1)
        begins = at == 0
        if self.chunk.resets is not None:
            begins = begins | (self.chunk.resets[clamped, rows] & (at >= 0))
        inputs, targets = self.chunk.inputs[clamped, rows], self.chunk.targets[clamped, rows]
        return Chunk(inputs, targets, None, first=True, resets=begins if begins.any() else None)


def grouped(loss: Loss, targets: Targets, outputs: Tensor) -> Float[Tensor, " groups"]:
    """Return the mean loss of each group."""
    return torch.stack([loss(outputs[members], part(targets.gathered, members)) for members in targets.groups()])


def part(chunk: Chunk, members: Tensor) -> Chunk:
    """Return some steps of a chunk."""
    picked = [None if value is None else value[members] for value in (chunk.mask, chunk.weight)]
    return chunk._replace(
        inputs=chunk.inputs[members], targets=chunk.targets[members], mask=picked[0], weight=picked[1]
    )


def standard_error(values: Float[Tensor, " groups"]) -> float:
    """Return the standard error of a mean over groups.

    Of fewer than four groups it is nan.
    """
    return float(values.double().std() / math.sqrt(len(values))) if len(values) >= FEWEST_GROUPS else math.nan


def _each_once(chunk: Chunk, places: Int[Tensor, "targets 2"]) -> Int[Tensor, "targets 2"]:
    """Drop targets that stand in several windows; without an origin, windows that are copies of others."""
    steps, rows = places.unbind(1)
    if chunk.origin is not None:
        keys = chunk.origin[steps, rows]
    else:
        same = chunk.inputs.reshape(len(chunk.inputs), chunk.inputs.shape[1], -1).transpose(0, 1).flatten(1)
        keys = torch.stack((same.unique(dim=0, return_inverse=True)[1][rows], steps), dim=1)
    number = keys.unique(dim=0, return_inverse=True)[1]
    first = torch.full((int(number.max()) + 1,) if len(number) else (0,), len(number))
    first.scatter_reduce_(0, number, torch.arange(len(number)), "amin")
    return places[first.sort().values]
