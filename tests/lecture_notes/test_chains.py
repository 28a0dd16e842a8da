"""The factors of the chain rule: their shapes, their order, and that immediate is not total."""

import torch

from throughtime.lecture_notes.chains import immediate_derivative, jacobian_product, state_jacobian, total_derivative
from throughtime.lecture_notes.systems import states


def test_state_jacobian_is_the_closed_form(system):
    slope = 1 - states(system)[4].square()
    torch.testing.assert_close(state_jacobian(system, 4), slope[:, None] * system.weight_hh)


def test_product_puts_the_latest_step_first(system):
    J_3, J_4 = state_jacobian(system, 3), state_jacobian(system, 4)
    torch.testing.assert_close(jacobian_product(system, 3, 4, "latest first"), J_4 @ J_3)
    torch.testing.assert_close(jacobian_product(system, 3, 4, "earliest first"), J_3 @ J_4)
    assert torch.equal(jacobian_product(system, 5, 4, "latest first"), torch.eye(4, dtype=torch.float64))


def test_total_follows_the_recursion_and_immediate_does_not(system):
    for parameter in ("weight_hh", "weight_ih", "bias"):
        immediate = {t: immediate_derivative(system, t, parameter) for t in (1, 2)}
        total = {t: total_derivative(system, t, parameter) for t in (1, 2)}
        torch.testing.assert_close(total[1], immediate[1])
        recursion = immediate[2] + state_jacobian(system, 2) @ total[1]
        torch.testing.assert_close(total[2], recursion, rtol=1e-12, atol=1e-14)
        assert (total[2] - immediate[2]).norm() > 1e-2
