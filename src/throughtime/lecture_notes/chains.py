"""Factors of the chain rule through time, in the numerator layout. Each comes from the derivative of a single step."""

from dataclasses import replace
from functools import reduce
from typing import Literal

import torch
from torch import Tensor

from throughtime.lecture_notes.differentiation import Derivative, automatic
from throughtime.lecture_notes.systems import ElmanSystem, states, step

Order = Literal["latest first", "earliest first"]
Inner = Literal["immediate", "total"]


def state_jacobian(system: ElmanSystem, index: int) -> Tensor:
    """Return J_t = ∂h_t/∂h_{t-1} as [hidden, hidden]; `index` is t."""
    return automatic(Derivative(lambda state: step(system, index, state), states(system)[index - 1]))


def immediate(system: ElmanSystem, index: int, parameter: str) -> Tensor:
    """Return ∂h_t/∂θ with h_{t-1} held fixed, as [hidden, numbers in θ]; `index` is t."""
    before = states(system)[index - 1]

    def state(value: Tensor) -> Tensor:
        return step(replace(system, **{parameter: value}), index, before)

    return automatic(Derivative(state, getattr(system, parameter))).reshape(system.hidden_size, -1)


def total(system: ElmanSystem, index: int, parameter: str) -> Tensor:
    """Return dh_t/dθ through every earlier step, as [hidden, numbers in θ]; `index` is t."""

    def state(value: Tensor) -> Tensor:
        return states(replace(system, **{parameter: value}))[index]

    return automatic(Derivative(state, getattr(system, parameter))).reshape(system.hidden_size, -1)


def jacobian_product(system: ElmanSystem, first: int, last: int, order: Order) -> Tensor:
    """Multiply J_last … J_first, the derivative of h_last by h_{first-1}.

    The other order multiplies the same factors in reverse.

    An empty range (`first` > `last`) gives the identity.
    """
    factors = [state_jacobian(system, index) for index in range(first, last + 1)]
    if order == "latest first":
        factors.reverse()
    return reduce(torch.matmul, factors, torch.eye(system.hidden_size, dtype=torch.float64))


def summed_chain(system: ElmanSystem, rows: Tensor, parameter: str, order: Order, inner: Inner) -> Tensor:
    """Return Σ_t Σ_{k≤t} g_t (Π ∂h_j/∂h_{j-1}) ∂h_k/∂θ in the shape of θ.

    `rows` [time, hidden] are the direct derivatives g_t = ∂L/∂h_t, a row for each step; `inner` says which derivative
    ∂h_k/∂θ is meant: with h_{k-1} held fixed, or through every earlier step.
    """
    leaf = immediate if inner == "immediate" else total
    result = torch.zeros(getattr(system, parameter).numel(), dtype=torch.float64)
    for last in range(1, system.steps + 1):
        for first in range(1, last + 1):
            product = jacobian_product(system, first + 1, last, order)
            result = result + rows[last - 1] @ product @ leaf(system, first, parameter)
    return result.reshape(getattr(system, parameter).shape)
