"""What the tests compare with. Nothing here is imported from the code under test."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor


def relative(a: Tensor, b: Tensor) -> float:
    """‖a − b‖ / ‖b‖, or ‖a‖ where b is zero."""
    assert a.shape == b.shape, f"{tuple(a.shape)} against {tuple(b.shape)}"
    distance, norm = (a - b).norm().item(), b.norm().item()
    return distance / norm if norm else distance


def central_differences(function: Callable[[Tensor], Tensor], x: Tensor, step: float = 1e-3) -> Tensor:
    """∂function/∂x in float64 by the fourth-order central formula: [*outputs, *x.shape], error about 1e-10."""
    columns = []
    for index in range(x.numel()):
        unit = torch.zeros(x.numel(), dtype=torch.float64)
        unit[index] = step
        unit = unit.view_as(x)
        near = function(x + unit) - function(x - unit)
        far = function(x + 2 * unit) - function(x - 2 * unit)
        columns.append((8 * near - far) / (12 * step))
    stacked = torch.stack(columns, dim=-1)
    return stacked.unflatten(-1, x.shape)


def complex_step(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """∂function/∂x of a scalar analytic function: Im f(x + iε)/ε, exact to rounding."""
    flat, step = x.detach().to(torch.complex128).flatten(), 1e-30
    derivative = torch.zeros(x.numel(), dtype=torch.float64)
    for index in range(x.numel()):
        shifted = flat.clone()
        shifted[index] += 1j * step
        derivative[index] = function(shifted.view_as(x)).imag.item() / step
    return derivative.view_as(x)


def unrolled(
    step: Callable,
    x: Tensor,
    initial: tuple[Tensor, ...],
    reset_state: tuple[Tensor, ...],
    lengths: list[int] | None = None,
    resets: Tensor | None = None,
) -> tuple[Tensor, tuple[Tensor, ...], dict[tuple[int, int], tuple[Tensor, ...]]]:
    """Row by row, step by step, in plain indexing that autograd can follow.

    Returns the outputs [T, B, H], the final state, and the state of every valid (t, row) as it left the step.
    """
    steps, rows = x.shape[:2]
    outputs = [[torch.zeros_like(initial[0][0]) for _ in range(rows)] for _ in range(steps)]
    finals, visited = [], {}
    for row in range(rows):
        state = tuple(member[row : row + 1] for member in initial)
        for t in range(steps if lengths is None else lengths[row]):
            if resets is not None and resets[t, row]:
                state = tuple(member[row : row + 1] for member in reset_state)
            state = step(x[t, row : row + 1], state)
            visited[t, row] = state
            outputs[t][row] = state[0][0]
        finals.append(state)
    final = tuple(torch.cat(members) for members in zip(*finals, strict=True))
    return torch.stack([torch.stack(at_t) for at_t in outputs]), final, visited


def elman_double_sum(
    w_hh: np.ndarray, states: np.ndarray, x: np.ndarray, direct: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """∂W_hh, ∂W_ih and ∂b of one tanh sequence by [HSK] (10), (12), (14), with signs and order put right.

    `states` are h_0 … h_T [T + 1, H], `x` [T, I], `direct` the g_t = ∂L/∂h_t through the output alone [T, H].
    """
    steps, hidden = direct.shape
    d_w_hh, d_w_ih, d_b = np.zeros((hidden, hidden)), np.zeros((hidden, x.shape[1])), np.zeros(hidden)
    for t in range(1, steps + 1):
        for k in range(1, t + 1):
            product = np.eye(hidden)
            for j in range(k + 1, t + 1):
                product = product @ w_hh.T @ np.diag(1 - states[j] ** 2)  # J_{k+1}ᵀ … J_tᵀ, k + 1 leftmost
            e = np.diag(1 - states[k] ** 2) @ product @ direct[t - 1]
            d_w_hh += np.outer(e, states[k - 1])
            d_w_ih += np.outer(e, x[k - 1])
            d_b += e
    return d_w_hh, d_w_ih, d_b
