"""Recurrences as systems that forward methods can linearise at a point."""

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
    """Step of a system at an input and a state.

    The members of the state are laid side by side: S = Σ sizes.
    """

    entering: State
    """State s_{t-1} before the step, each member [batch, size]."""

    @abstractmethod
    def jacobian(self) -> Float[Tensor, "batch size size"]:
        """Compute J_t = ∂s_t/∂s_{t-1} of each row, in numerator layout."""

    @abstractmethod
    def add_immediate(
        self, influence: Mapping[str, Tensor], mix: Float[Tensor, "batch rows size"] | None = None
    ) -> None:
        """Add B_t, or `mix` times B_t, in place; see `Cell.add_immediate`."""


class System(ABC):
    """System s_t = F(x_t, s_{t-1}; θ) ([Y], first display).

    A system is a cell, or several cells that form a recurrence together.
    """

    @property
    @abstractmethod
    def parameters(self) -> Parameters:
        """Parameters θ by name."""

    @property
    @abstractmethod
    def sizes(self) -> tuple[int, ...]:
        """Sizes of the state's members, in order; S is the sum."""

    @property
    def has_units(self) -> bool:
        """Whether all members of the state have the same units.

        Every weight then leads into a single unit.
        """
        return False

    @abstractmethod
    def at(self, x: Float[Tensor, "batch input"], entering: State) -> Step:
        """Return the step that reads x_t in the state s_{t-1}."""

    @abstractmethod
    def probe(self, rows: int, generator: torch.Generator) -> Step:
        """Make a step at random inputs, states and weights.

        Weights that are zero stay zero. At several such steps no derivative is zero by chance: a ReLU whose bias is far
        below zero wakes up.

        Args:
            rows: number of random inputs and states.
            generator: source of the random numbers.
        """


@dataclass(frozen=True)
class CellStep(Step):
    """Step of a cell."""

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
    """System of a single cell."""

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
    """Draw normal numbers with the shape, dtype and device of `value`.

    The numbers are drawn on the CPU, so that they are the same on every device.
    """
    return torch.randn(value.shape, generator=generator).to(value)


def redrawn(value: Tensor, generator: torch.Generator) -> Tensor:
    """Replace nonzero numbers by random numbers, or all where all are zero.

    The random numbers are too small to saturate a sum.
    """
    drawn = random_like(value, generator)
    drawn = drawn / value.shape[-1] ** 0.5 if value.dim() > 1 else drawn
    return torch.where(value == 0, value, drawn) if value.any() else drawn
