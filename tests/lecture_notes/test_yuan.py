"""[Y]: its recursion and linear gradients against torch, and the two ways in which the solved form goes wrong."""

from dataclasses import replace

import pytest
import torch

from throughtime.lecture_notes.chains import state_jacobian
from throughtime.lecture_notes.systems import linear, mean_squared_error
from throughtime.lecture_notes.yuan import EQUATIONS


def test_every_displayed_equation_has_a_row():
    needed = {"recursion", "loss", "∂F/∂θ_h", "(1)", "(1) solved", "∂F/∂θ_o", "linear"}
    needed |= {"linear ∂W_ih", "linear ∂W_hh", "linear ∂W_ho", "|λ| < 1", "|λ| > 1", "activations"}
    assert needed == {equation.number for equation in EQUATIONS}


def test_chain_over_the_recursion_is_the_gradient(printed, system, torch_gradients):
    truth = torch_gradients(system, lambda o: (o - system.targets).square().sum() / system.steps)
    flat = torch.cat([truth[name].flatten() for name in ("weight_ih", "weight_hh", "bias")])
    torch.testing.assert_close(printed("Y", "∂F/∂θ_h"), flat, rtol=1e-11, atol=1e-13)


def test_solved_recursion_in_counting_order_is_wrong(printed, system, relative):
    truth = printed("Y", "(1)")
    torch.testing.assert_close(printed("Y", "(1) solved", "c_t leftmost"), truth, rtol=1e-12, atol=1e-14)
    swapped = printed("Y", "(1) solved", "c_{i+1} leftmost")
    # One factor has no order: the two readings part at t = 3, where the products have two.
    torch.testing.assert_close(swapped[:2], truth[:2], rtol=1e-12, atol=1e-14)
    assert all(relative(swapped[t], truth[t]) > 1e-3 for t in range(2, system.steps))


def test_solved_recursion_drops_a_learnt_initial_state(equation, printed, system):
    dropped = equation("Y", "(1) solved", "h_0 is learnt")
    assert torch.count_nonzero(printed("Y", "(1) solved", "h_0 is learnt")) == 0
    product = torch.eye(system.hidden_size, dtype=torch.float64)
    for index in range(1, system.steps + 1):
        product = state_jacobian(system, index) @ product
    torch.testing.assert_close(dropped.corrected(system)[-1], product)
    assert product.norm() > 1e-6


@pytest.mark.parametrize("name", ["ih", "hh", "ho"])
def test_linear_gradients(equation, system, name):
    parameter = f"weight_{name}"
    row = equation("Y", f"linear ∂W_{name}")
    network = linear(system)
    leaf = getattr(network, parameter).clone().requires_grad_()
    mean_squared_error(replace(network, **{parameter: leaf})).backward()
    torch.testing.assert_close((row.printed or row.corrected)(system), leaf.grad, rtol=1e-11, atol=1e-13)


def test_linear_gradient_of_the_recurrent_weight_needs_the_initial_state(equation, system):
    row = equation("Y", "linear ∂W_hh")
    without = row.corrected(replace(system, initial_state=torch.zeros_like(system.initial_state)))
    assert (row.corrected(system) - without).norm() > 1e-2 * without.norm()
