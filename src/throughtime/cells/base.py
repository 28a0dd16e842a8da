"""What a cell is: one step of a recurrence, and the derivatives of that step."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from throughtime.errors import ArgumentError
from throughtime.sequences.runner import Runner
from throughtime.types import Parameters, State


@dataclass(frozen=True)
class ActivationValues:
    """The values of one kind of activation of a cell ("forget gate", "h", …), for rows of a batch.

    Args:
        role: "content", what is written; "keep", the share of the old state that is kept; "gate", what lets something
            in or out.
        low, high: the ends of its range; infinite where it has none.
        values: [batch, units].
        preactivation: what the activation was applied to, likewise; None where the cell does not say.
    """

    name: str
    role: Literal["content", "keep", "gate"]
    low: float
    high: float
    values: Float[Tensor, "batch units"]
    preactivation: Float[Tensor, "batch units"] | None = None


@dataclass(frozen=True)
class KeepBias:
    """The bias that sets how long a gate keeps the state; a cell names it so that advice can give a value for it.

    With the other pre-activations at 0, the gate keeps the share σ(`sign` · bias) of the old state at every step.

    Args:
        gate: the gate's name among the cell's `gate_names`.
        sign: 1 where a larger bias keeps more of the state, -1 where it keeps less.
        writes: the gate that lets new content in, whose bias is set to the opposite (chrono initialisation, Tallec &
            Ollivier 2018); None where `gate` decides that too.
    """

    gate: str
    sign: Literal[1, -1] = 1
    writes: str | None = None


class Cell(ABC):
    """One step h_t = f(x_t, h_{t-1}; θ) ([Y], first display) with its derivatives. Rows of the batch are independent.

    The step is cut where time allows: `project` and `accumulate` work on all T·B rows at once, before and after the
    recurrence; only `advance` and `pull_back` run step by step. The step itself, its vector-Jacobian product and
    everything the gradient methods do follow from these four.

    Shapes: x [batch, input]; a state is a tuple in the order of `state_sizes`, each [batch, size], and its first
    member is the cell's output h. Jacobians stand in numerator layout over the state laid side by side (h, then c):
    J[b, i, j] = ∂s_t[i] / ∂s_{t-1}[j] for row b.
    """

    @property
    def kernel(self) -> Runner | None:
        """A fused recurrence that computes the same thing faster; None unless a cell's class defines it.

        It counts for that class alone: a subclass may have another step.
        """
        return None

    gate_names: ClassVar[tuple[str, ...]] = ()
    """The names of the blocks of the recurrent weights, in their order; empty where they have none."""
    keep_bias: ClassVar[KeepBias | None] = None
    """The bias that sets how long the state is kept; None without such a gate."""

    input_size: int
    """Features of x_t."""

    @property
    @abstractmethod
    def state_sizes(self) -> Mapping[str, int]:
        """The state's members by name with their sizes, output first: {"h": 128} or {"h": 128, "c": 128}."""

    @property
    def linear(self) -> bool:
        """Whether s_t is an affine function of s_{t-1} for a given x_t, so that J_t does not depend on the state."""
        return False

    @property
    def diagonal(self) -> bool:
        """Whether entry i of s_t, with the members laid side by side, depends on no entry of s_{t-1} but the i-th."""
        return False

    @property
    def is_affine(self) -> bool:
        """Whether x_t and h_{t-1} enter by affine maps, with torch.nn's names for their weights and biases."""
        return False

    @property
    def slope_bound(self) -> float | None:
        """γ where J_t = diag(φ'(a_t)) W_hh with |φ'| ≤ γ, or φ' = γ in a linear cell; None for other forms of step."""
        return None

    def recurrent_blocks(self, parameters: Parameters) -> dict[str, Float[Tensor, "hidden output"]]:
        """Return the blocks of W_hh by the names of their gates; {} unless the cell is affine."""
        return {}

    @abstractmethod
    def initial_parameters(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> dict[str, Tensor]:
        """Freshly drawn parameters by name, from torch's generator of that device."""

    @abstractmethod
    def project(self, parameters: Parameters, x: Float[Tensor, "*rows input"]) -> Float[Tensor, "*rows projected"]:
        """What the step needs of x, for all steps at once."""

    @abstractmethod
    def advance(
        self, parameters: Parameters, projected: Float[Tensor, "batch projected"], state: State
    ) -> tuple[State, tuple[Tensor, ...]]:
        """One step: the next state, and the residuals that `pull_back` needs."""

    @abstractmethod
    def pull_back(
        self, parameters: Parameters, residuals: tuple[Tensor, ...], cotangent: State
    ) -> tuple[tuple[Tensor, ...], State]:
        """One step back: from ∂L/∂s_t the errors that `accumulate` needs, and J_tᵀ ∂L/∂s_t."""

    @abstractmethod
    def accumulate(
        self,
        parameters: Parameters,
        x: Float[Tensor, "rows input"],
        entering: State,
        errors: tuple[Tensor, ...],
        needs_x: bool,
    ) -> tuple[dict[str, Tensor], Float[Tensor, "rows input"] | None]:
        """∂L/∂θ summed over all rows (steps times batch), and ∂L/∂x for each row if asked for.

        `entering` is the state that entered each row's step, `errors` are what `pull_back` returned, both stacked.
        """

    @abstractmethod
    def state_jacobian(
        self, parameters: Parameters, x: Float[Tensor, "batch input"], state: State
    ) -> Float[Tensor, "batch size size"]:
        """J_t = ∂s_t/∂s_{t-1} for each row. Cost O(B·S²)."""

    @abstractmethod
    def input_jacobian(
        self, parameters: Parameters, x: Float[Tensor, "batch input"], state: State
    ) -> Float[Tensor, "batch size input"]:
        """∂s_t/∂x_t for each row."""

    @abstractmethod
    def add_immediate(
        self,
        parameters: Parameters,
        x: Float[Tensor, "batch input"],
        state: State,
        influence: Mapping[str, Tensor],
        mix: Float[Tensor, "batch rows size"] | None = None,
    ) -> None:
        """Add B_t to `influence` in place: name → [batch, S, *shape]; with `mix`, the product of that matrix and B_t.

        B_t = ∂f(x_t, h_{t-1}; θ)/∂θ with h_{t-1} held fixed ([Y] (1), first term). Where few of its entries are not
        zero, only those are touched.
        """

    def activations(
        self, parameters: Parameters, x: Float[Tensor, "batch input"], state: State
    ) -> list[ActivationValues]:
        """All activations in the step from `state`, by name; unless a cell knows better, the new state's members.

        For looking at them only: no gradient is asked for.
        """
        new = self.step(parameters, x, state)
        members = zip(self.state_sizes, new, strict=True)
        return [ActivationValues(name, "content", -math.inf, math.inf, member) for name, member in members]

    def immediate_derivative(
        self, parameters: Parameters, x: Float[Tensor, "batch input"], state: State
    ) -> dict[str, Tensor]:
        """B_t written out, name → [batch, S, *shape]: O(B·S·P) memory, for teaching, oracles and small cells."""
        size = sum(self.state_sizes.values())
        dense = {name: value.new_zeros(x.shape[0], size, *value.shape) for name, value in parameters.items()}
        self.add_immediate(parameters, x, state, dense)
        return dense

    def step(self, parameters: Parameters, x: Float[Tensor, "batch input"], state: State) -> State:
        """The next state."""
        return self.advance(parameters, self.project(parameters, x), state)[0]

    def step_vjp(
        self, parameters: Parameters, x: Float[Tensor, "batch input"], state: State, cotangent: State
    ) -> tuple[dict[str, Tensor], Float[Tensor, "batch input"], State]:
        """The vector-Jacobian product of one step: (∂L/∂θ, ∂L/∂x_t, ∂L/∂s_{t-1}) from ∂L/∂s_t."""
        _, residuals = self.advance(parameters, self.project(parameters, x), state)
        errors, d_state = self.pull_back(parameters, residuals, cotangent)
        d_parameters, d_x = self.accumulate(parameters, x, state, errors, needs_x=True)
        return d_parameters, d_x, d_state  # type: ignore[return-value]  (d_x was asked for)


def check_size(name: str, value: object, least: int) -> None:
    """Raise `ArgumentError` unless `value` is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ArgumentError(f"{name} is {value!r}; it must be a whole number, at least {least}")
