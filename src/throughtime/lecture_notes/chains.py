"""Factors of the chain rule through time in the numerator layout, by automatic differentiation.

In the numerator layout the rows of a derivative count the elements of what is differentiated, the columns those of the
variable. Time steps t count from 1. A `parameter` is the name of a tensor of the network, θ in the formulas.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from throughtime.lecture_notes.differentiation import Derivative, automatic
from throughtime.lecture_notes.systems import ElmanSystem, next_state, states

Order: TypeAlias = Literal["latest first", "earliest first"]
"""Order of the factors of a product over time steps, from left to right."""

StateDerivative: TypeAlias = Callable[[ElmanSystem, int, str], Tensor]
"""Derivative of h_t by θ [hidden, elements of θ]: `immediate_derivative` or `total_derivative`."""


def state_jacobian(system: ElmanSystem, t: int) -> Tensor:
    """Return J_t = ∂h_t/∂h_{t-1} as [hidden, hidden]."""
    return automatic(Derivative(lambda state: next_state(system, t, state), states(system)[t - 1]))


def immediate_derivative(system: ElmanSystem, t: int, parameter: str) -> Tensor:
    """Return ∂h_t/∂θ with h_{t-1} held fixed, as [hidden, elements of θ]."""
    before = states(system)[t - 1]

    def state(value: Tensor) -> Tensor:
        return next_state(replace(system, **{parameter: value}), t, before)

    return automatic(Derivative(state, getattr(system, parameter))).reshape(system.hidden_size, -1)


def total_derivative(system: ElmanSystem, t: int, parameter: str) -> Tensor:
    """Return dh_t/dθ through step t and every earlier step, as [hidden, elements of θ]."""

    def state(value: Tensor) -> Tensor:
        return states(replace(system, **{parameter: value}))[t]

    return automatic(Derivative(state, getattr(system, parameter))).reshape(system.hidden_size, -1)


def jacobian_product(system: ElmanSystem, first: int, last: int, order: Order) -> Tensor:
    """Multiply the Jacobians J_t of the steps from `first` to `last`.

    Returns:
        [hidden, hidden]: J_last … J_first for "latest first", which is the derivative of h_last by h_{first-1};
        J_first … J_last for "earliest first"; the identity where `first` > `last`.
    """
    factors = [state_jacobian(system, t) for t in range(first, last + 1)]
    if order == "latest first":
        factors.reverse()
    return reduce(torch.matmul, factors, torch.eye(system.hidden_size, dtype=torch.float64))


def summed_chain(
    system: ElmanSystem, loss_by_states: Tensor, parameter: str, order: Order, derivative: StateDerivative
) -> Tensor:
    """Return Σ_t Σ_{k≤t} ∂L_t/∂h_t (Π_{j=k+1…t} J_j) ∂h_k/∂θ in the shape of θ.

    Args:
        system: the network.
        loss_by_states: ∂L_t/∂h_t, the derivative of the loss of each step by the state of this step [time, hidden].
        parameter: θ.
        order: the order of the factors J_j.
        derivative: which ∂h_k/∂θ is meant; the sum is the gradient for the immediate derivative only.
    """
    result = torch.zeros(getattr(system, parameter).numel(), dtype=torch.float64)
    for t in range(1, system.steps + 1):
        for k in range(1, t + 1):
            product = jacobian_product(system, k + 1, t, order)
            result = result + loss_by_states[t - 1] @ product @ derivative(system, k, parameter)
    return result.reshape(getattr(system, parameter).shape)
