"""A recurrence that can be linearised at a point: what the forward methods need to know of it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from throughtime.cells.affine import AffineCell
from throughtime.cells.base import Cell
from throughtime.types import Parameters, State


class Step(ABC):
    """One step of a system, at one input and one state, with the whole state laid side by side: S = Σ sizes."""

    entering: State
    """s_{t-1}."""

    @abstractmethod
    def jacobian(self) -> Float[Tensor, "batch size size"]:
        """J_t = ∂s_t/∂s_{t-1} for each row, numerator layout."""

    @abstractmethod
    def add_immediate(
        self, influence: Mapping[str, Tensor], mix: Float[Tensor, "batch rows size"] | None = None
    ) -> None:
        """Add B_t, or `mix` times B_t, in place: see `Cell.add_immediate`."""


class System(ABC):
    """s_t = F(x_t, s_{t-1}; θ) ([Y], first display): one cell, or several that are one recurrence together."""

    @property
    @abstractmethod
    def parameters(self) -> Parameters:
        """θ by name."""

    @property
    @abstractmethod
    def sizes(self) -> tuple[int, ...]:
        """The sizes of the state's members, in their order; S is their sum."""

    @property
    def has_units(self) -> bool:
        """Whether every member of the state has the same units, and every weight belongs to one of them."""
        return False

    @abstractmethod
    def at(self, x: Float[Tensor, "batch input"], entering: State) -> Step:
        """The step that reads x_t in the state s_{t-1}."""

    @abstractmethod
    def probe(self, rows: int, generator: torch.Generator) -> Step:
        """A step at that many random inputs and states, and under random weights but for those that are zero.

        At several of them no derivative is zero by chance: a ReLU whose bias is far below zero wakes up.
        """


@dataclass(frozen=True)
class CellStep(Step):
    """One step of one cell."""

    cell: Cell
    values: Parameters
    x: Float[Tensor, "batch input"]
    entering: State

    def jacobian(self) -> Float[Tensor, "batch size size"]:
        return self._jacobian

    @cached_property
    def _jacobian(self) -> Float[Tensor, "batch size size"]:
        return self.cell.state_jacobian(self.values, self.x, self.entering)

    def add_immediate(
        self, influence: Mapping[str, Tensor], mix: Float[Tensor, "batch rows size"] | None = None
    ) -> None:
        self.cell.add_immediate(self.values, self.x, self.entering, influence, mix)


@dataclass(frozen=True)
class CellSystem(System):
    """One cell by itself."""

    cell: Cell
    values: Parameters

    @property
    def parameters(self) -> Parameters:
        return self.values

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(self.cell.state_sizes.values())

    @property
    def has_units(self) -> bool:
        return isinstance(self.cell, AffineCell) and not self.cell.proj_size

    def at(self, x: Float[Tensor, "batch input"], entering: State) -> CellStep:
        return CellStep(self.cell, self.values, x, entering)

    def probe(self, rows: int, generator: torch.Generator) -> CellStep:
        values = {name: redrawn(value, generator) for name, value in self.values.items()}
        like = next(iter(values.values()), torch.empty(0))
        x, *entering = (random_like(like.new_empty(rows, n), generator) for n in (self.cell.input_size, *self.sizes))
        return CellStep(self.cell, values, x, tuple(entering))


def random_like(value: Tensor, generator: torch.Generator) -> Tensor:
    """Normal numbers of that shape, dtype and device; drawn on the CPU, so that they are the same everywhere."""
    return torch.randn(value.shape, generator=generator).to(value)


def redrawn(value: Tensor, generator: torch.Generator) -> Tensor:
    """Random numbers in the places of those that are not zero, or in all where all are; too small to saturate a sum."""
    drawn = random_like(value, generator)
    drawn = drawn / value.shape[-1] ** 0.5 if value.dim() > 1 else drawn
    return torch.where(value == 0, value, drawn) if value.any() else drawn
