"""Interface of a cell: a step of a recurrence with its derivatives."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from throughtime.sequences.runner import Runner
from throughtime.types import Parameters, State


@dataclass(frozen=True)
class ActivationValues:
    """Values of an activation of a cell, such as its forget gate.

    Args:
        name: the activation's name: "forget gate", "h", …
        role: "content" for values that are written, "keep" for the share of the old state that is kept, "gate" for
            factors that let something in or out.
        low, high: the ends of the activation's range; infinite where the range is not bounded.
        values: [batch, units].
        preactivation: [batch, units], the argument of the activation function; None where the cell does not say.
    """

    name: str
    role: Literal["content", "keep", "gate"]
    low: float
    high: float
    values: Float[Tensor, "batch units"]
    preactivation: Float[Tensor, "batch units"] | None = None


@dataclass(frozen=True)
class KeepBias:
    """Bias that sets how long a gate keeps the state.

    A cell names this bias so that advice can give a value for it. With the other pre-activations at 0, the gate keeps
    the share σ(`sign` · bias) of the old state at every step.

    Args:
        gate: the gate's name among the cell's `gate_names`.
        sign: 1 where a larger bias keeps more of the state, -1 where it keeps less.
        writes: the gate that lets new content in, whose bias is set to the opposite (chrono initialisation, Tallec &
            Ollivier 2018); None where `gate` decides about new content too.
    """

    gate: str
    sign: Literal[1, -1] = 1
    writes: str | None = None


class Cell(ABC):
    """Step of a recurrence, h_t = f(x_t, h_{t-1}; θ) ([Y], first display), with its derivatives.

    Rows of the batch are independent. A step is divided so that little work is left inside the loop over time:
    `project` and `accumulate` work on all T·B rows at once, before and after the recurrence; only `advance` and
    `pull_back` run step by step. The whole step, its vector-Jacobian product and all gradient methods follow from these
    four.

    Shapes: x [batch, input]; a state is a tuple in the order of `state_sizes`, each [batch, size], and its first
    member is the cell's output h. Jacobians stand in numerator layout over the state laid side by side (h, then c):
    J[b, i, j] = ∂s_t[i] / ∂s_{t-1}[j] for row b.
    """

    @property
    def kernel(self) -> Runner | None:
        """Fused recurrence that computes the same results faster; None if the cell has no kernel.

        A kernel serves only the class that defines this property: a subclass may have another step.
        """
        return None

    def check_parameters(self, parameters: Parameters, like: Tensor) -> None:
        """Raise `ArgumentError` unless the parameters fit the cell and `like`.

        They must have the cell's shapes, and the dtype and device of `like`. A cell that does not override the method
        accepts any.
        """
        return

    gate_names: ClassVar[tuple[str, ...]] = ()
    """Names of the recurrent weights' blocks, in order; empty where the blocks have no names."""
    keep_bias: ClassVar[KeepBias | None] = None
    """Bias that sets how long the state is kept; None without such a gate."""

    input_size: int
    """Number of features of x_t."""

    @property
    @abstractmethod
    def state_sizes(self) -> Mapping[str, int]:
        """Sizes of the state's members by name, output first.

        For example {"h": 128} or {"h": 128, "c": 128}.
        """

    @property
    def state_size(self) -> int:
        """Number S of entries of the state, all members together."""
        return sum(self.state_sizes.values())

    @property
    def linear(self) -> bool:
        """Whether s_t is an affine function of s_{t-1} for a given x_t.

        J_t then does not depend on the state.
        """
        return False

    @property
    def diagonal(self) -> bool:
        """Whether entry i of s_t depends on no entry of s_{t-1} but the i-th.

        The members of the state are laid side by side.
        """
        return False

    @property
    def is_affine(self) -> bool:
        """Whether x_t and h_{t-1} enter by affine maps.

        The weights and biases of these maps then have torch.nn's names. The diagnosis and its advice ask this, of any
        cell; code that calls the maps themselves needs an `AffineCell`.
        """
        return False

    @property
    def slope_bound(self) -> float | None:
        """Bound γ on the slope, if J_t = diag(φ'(a_t)) W_hh with |φ'| ≤ γ.

        In a linear cell φ' = γ. None for steps of another form.
        """
        return None

    def recurrent_blocks(self, parameters: Parameters) -> dict[str, Float[Tensor, "hidden output"]]:
        """Return the blocks of W_hh by gate name; {} unless the cell is affine."""
        return {}

    @abstractmethod
    def initial_parameters(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> dict[str, Tensor]:
        """Draw new parameters from torch's generator of the device, by name."""

    @abstractmethod
    def project(self, parameters: Parameters, x: Float[Tensor, "*rows input"]) -> Float[Tensor, "*rows projected"]:
        """Compute the part of all steps that depends on x alone."""

    @abstractmethod
    def advance(
        self, parameters: Parameters, projected: Float[Tensor, "batch projected"], state: State
    ) -> tuple[State, tuple[Tensor, ...]]:
        """Advance by one step: return the next state, and residuals for `pull_back`."""

    @abstractmethod
    def pull_back(
        self, parameters: Parameters, residuals: tuple[Tensor, ...], cotangent: State
    ) -> tuple[tuple[Tensor, ...], State]:
        """Go back by one step: from ∂L/∂s_t to J_tᵀ ∂L/∂s_t.

        Returns:
            The errors that `accumulate` needs, and J_tᵀ ∂L/∂s_t.
        """

    @abstractmethod
    def accumulate(
        self,
        parameters: Parameters,
        x: Float[Tensor, "rows input"],
        entering: State,
        errors: tuple[Tensor, ...],
        needs_x: bool,
    ) -> tuple[dict[str, Tensor], Float[Tensor, "rows input"] | None]:
        """Compute ∂L/∂θ, and ∂L/∂x where `needs_x`.

        Args:
            parameters: θ by name.
            x: inputs of all rows (steps times batch).
            entering: the states that entered the rows' steps, stacked.
            errors: the errors that `pull_back` returned, stacked.
            needs_x: whether ∂L/∂x is computed.

        Returns:
            ∂L/∂θ by name, summed over all rows, and ∂L/∂x of each row or None.
        """

    @abstractmethod
    def state_jacobian(
        self, parameters: Parameters, x: Float[Tensor, "batch input"], state: State
    ) -> Float[Tensor, "batch size size"]:
        """Compute J_t = ∂s_t/∂s_{t-1} of each row. Cost: O(B·S²)."""

    @abstractmethod
    def input_jacobian(
        self, parameters: Parameters, x: Float[Tensor, "batch input"], state: State
    ) -> Float[Tensor, "batch size input"]:
        """Compute ∂s_t/∂x_t of each row."""

    @abstractmethod
    def add_immediate(
        self,
        parameters: Parameters,
        x: Float[Tensor, "batch input"],
        state: State,
        influence: Mapping[str, Tensor],
        mix: Float[Tensor, "batch rows size"] | None = None,
    ) -> None:
        """Add B_t, or `mix` times B_t, to `influence` in place.

        B_t = ∂f(x_t, h_{t-1}; θ)/∂θ with h_{t-1} held fixed ([Y] (1), first term). Where few entries of B_t are not
        zero, only those are touched.

        Args:
            parameters: θ by name.
            x: x_t [batch, I].
            state: s_{t-1}, each member [batch, size].
            influence: name → [batch, S, *shape], or [batch, rows, *shape] with `mix`.
            mix: a matrix for each row of the batch; None: the identity.
        """

    def activations(
        self, parameters: Parameters, x: Float[Tensor, "batch input"], state: State
    ) -> list[ActivationValues]:
        """Return all activations of the step from `state`.

        Unless a cell overrides this method, they are the new state's members. Activations are for inspection only:
        nobody asks for their gradients.
        """
        new = self.step(parameters, x, state)
        members = zip(self.state_sizes, new, strict=True)
        return [ActivationValues(name, "content", -math.inf, math.inf, member) for name, member in members]

    def immediate_derivative(
        self, parameters: Parameters, x: Float[Tensor, "batch input"], state: State
    ) -> dict[str, Tensor]:
        """Write B_t out: name → [batch, S, *shape].

        Cost: O(B·S·P) memory, so only for teaching, oracles and small cells.
        """
        dense = {name: value.new_zeros(x.shape[0], self.state_size, *value.shape) for name, value in parameters.items()}
        self.add_immediate(parameters, x, state, dense)
        return dense

    def step(self, parameters: Parameters, x: Float[Tensor, "batch input"], state: State) -> State:
        """Return the next state."""
        return self.advance(parameters, self.project(parameters, x), state)[0]

    def step_vjp(
        self, parameters: Parameters, x: Float[Tensor, "batch input"], state: State, cotangent: State
    ) -> tuple[dict[str, Tensor], Float[Tensor, "batch input"], State]:
        """Compute the vector-Jacobian product of a step.

        Returns:
            (∂L/∂θ, ∂L/∂x_t, ∂L/∂s_{t-1}) from the cotangent ∂L/∂s_t.
        """
        _, residuals = self.advance(parameters, self.project(parameters, x), state)
        errors, d_state = self.pull_back(parameters, residuals, cotangent)
        d_parameters, d_x = self.accumulate(parameters, x, state, errors, needs_x=True)
        return d_parameters, d_x, d_state  # type: ignore[return-value]  (d_x was asked for)
