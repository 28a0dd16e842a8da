"""The mistakes of [MR], each shown against torch.nn.RNN or a hand-made derivative."""

from dataclasses import replace

import pytest
import torch

from throughtime.lecture_notes.martinez_ramon import EQUATIONS
from throughtime.lecture_notes.systems import logits, states, without_biases


def test_every_numbered_equation_has_a_row():
    assert {f"({number})" for number in range(1, 9)} <= {equation.number for equation in EQUATIONS}


def test_equation_1_must_be_minimised(equation, system, torch_gradients):
    network = replace(system, bias_o=torch.zeros_like(system.bias_o))
    cost = torch.nn.functional.cross_entropy(logits(network), system.labels) * system.steps
    assert equation("MR", "(1)").printed(system) == pytest.approx(cost.item(), rel=1e-14)
    numbers = equation("MR", "(1) words").experiment(system).numbers
    slope = torch_gradients(network, lambda o: torch.nn.functional.cross_entropy(o, system.labels, reduction="sum"))[
        "weight_ho"
    ]
    assert numbers["rise"] == pytest.approx(1e-3 * slope.square().sum().item(), rel=0.05)
    assert numbers["fall"] == pytest.approx(-1e-3 * slope.square().sum().item(), rel=0.05)


def test_parameters_of_equation_1_lack_the_bias(equation, printed, system, torch_gradients):
    network = replace(system, bias_o=torch.zeros_like(system.bias_o))
    truth = torch_gradients(network, lambda o: torch.nn.functional.cross_entropy(o, system.labels, reduction="sum"))
    names = ("weight_ih", "weight_hh", "bias", "weight_ho")
    full = torch.cat([truth[name].flatten() for name in names])
    missing = full - printed("MR", "(1) θ")
    assert missing.norm().item() == pytest.approx(truth["bias"].norm().item(), rel=1e-10)
    torch.testing.assert_close(equation("MR", "(1) θ").corrected(system), full, rtol=1e-12, atol=1e-14)


def test_equation_3_elementwise_misses_the_other_outputs(printed, system):
    last = printed("MR", "(3)", "one output per logit")
    assert torch.count_nonzero(last) == 1
    delta = printed("MR", "(3) δ")[-1]
    assert torch.count_nonzero(delta) == delta.numel()
    torch.testing.assert_close(last, delta * system.labels[-1])


def test_equation_3_with_mixed_subscripts_is_zero(printed):
    assert torch.count_nonzero(printed("MR", "(3)", "subscripts as printed")) == 0


def test_state_reaches_every_later_loss(equation, printed, system, relative):
    two_losses = printed("MR", "(4) words")
    all_losses = equation("MR", "(4) words").corrected(system)
    torch.testing.assert_close(two_losses[-1], all_losses[-1])
    assert all(relative(two_losses[t], all_losses[t]) > 1e-2 for t in range(system.steps - 2))


def test_equation_7_is_the_transpose_in_numerator_layout(printed, system):
    before, moved = states(system)[2], 1e-6
    network = replace(system, inputs=system.inputs[2:3])
    columns = []
    for unit in torch.eye(system.hidden_size, dtype=torch.float64):
        there, back = (states(replace(network, initial_state=before + s * moved * unit))[1] for s in (1, -1))
        columns.append((there - back) / (2 * moved))
    numerator = torch.stack(columns, dim=1)
    torch.testing.assert_close(printed("MR", "(7)", "denominator layout").T, numerator, rtol=1e-6, atol=1e-9)
    assert (printed("MR", "(7)", "numerator layout") - numerator).norm() > 0.1 * numerator.norm()


def test_equation_8_gives_the_gradient_of_the_initial_state(printed, system):
    """One more step of the recursion, down to h_0, against a derivative that the room does not form."""
    state = system.initial_state.clone().requires_grad_()
    network = replace(system, bias_o=torch.zeros_like(system.bias_o), initial_state=state)
    torch.nn.functional.cross_entropy(logits(network), system.labels, reduction="sum").backward()
    first = printed("MR", "(8)")[0]
    slope = 1 - states(system)[1].square()
    torch.testing.assert_close(system.weight_hh.T @ (slope * first), state.grad, rtol=1e-12, atol=1e-14)


def test_the_system_has_biases_that_matter(system):
    assert (states(system) - states(without_biases(system))).abs().max() > 1e-2
