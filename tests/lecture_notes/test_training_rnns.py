"""[T]: its sums over steps against torch.nn.RNN, and the readings in which they fail."""

import pytest
import torch

from throughtime.lecture_notes.base import Misfit
from throughtime.lecture_notes.systems import without_biases
from throughtime.lecture_notes.training_rnns import EQUATIONS, WINDOW

WEIGHTS = {"∂E_N/∂W_s": "weight_hh", "∂E_N/∂W_x": "weight_ih"}


@pytest.fixture
def last_step_gradients(system, torch_gradients):
    def loss(logits):
        return (system.targets[-1] - torch.softmax(logits[-1], -1)).square().sum()

    return torch_gradients(without_biases(system), loss)


def test_every_displayed_formula_has_a_row():
    needed = {"state", "output", "error", "∂E_N/∂W_y", "∂E_N/∂W_s", "∂E_N/∂W_x", "every N steps", "8–10 steps"}
    assert needed | {"clipping", "LSTM"} <= {equation.number for equation in EQUATIONS}


def test_squared_error_is_not_the_mean(equation, printed, system, relative):
    row = equation("T", "error", "“MSE”")
    mean = torch.nn.functional.mse_loss(
        torch.softmax(torch.stack([*_states(system)])[-1] @ system.weight_ho.T, -1), system.targets[-1]
    )
    assert (row.printed(system) / mean).item() == pytest.approx(5, rel=1e-12)
    assert row.corrected(system).item() == pytest.approx(mean.item(), rel=1e-12)


def _states(system):
    h = system.initial_state
    for x in system.inputs:
        h = torch.tanh(system.weight_ih @ x + system.weight_hh @ h)
        yield h


def test_read_out_gradient_holds(printed, last_step_gradients, relative):
    assert relative(printed("T", "∂E_N/∂W_y"), last_step_gradients["weight_ho"]) < 1e-12


@pytest.mark.parametrize("number", WEIGHTS)
def test_sum_over_steps_counts_total_derivatives_twice(printed, last_step_gradients, number, relative):
    truth = last_step_gradients[WEIGHTS[number]]
    assert relative(printed("T", number, "total, then immediate"), truth) < 1e-12
    assert relative(printed("T", number, "both total"), truth) > 1e-2


@pytest.mark.parametrize("number", WEIGHTS)
def test_sum_over_steps_with_immediate_derivatives_keeps_the_last_term(printed, system, number):
    before = list(_states(system))[-2]
    leaves = {name: getattr(system, name).clone().requires_grad_() for name in ("weight_ih", "weight_hh")}
    h = torch.tanh(leaves["weight_ih"] @ system.inputs[-1] + leaves["weight_hh"] @ before)
    (system.targets[-1] - torch.softmax(system.weight_ho @ h, -1)).square().sum().backward()
    torch.testing.assert_close(
        printed("T", number, "both immediate"), leaves[WEIGHTS[number]].grad, rtol=1e-11, atol=1e-14
    )


@pytest.mark.parametrize("number", WEIGHTS)
def test_sum_over_steps_with_immediate_derivatives_is_not_the_gradient(printed, last_step_gradients, number, relative):
    assert relative(printed("T", number, "both immediate"), last_step_gradients[WEIGHTS[number]]) > 1e-2


def test_chain_of_rows_does_not_multiply(printed):
    assert printed("T", "chain of rows") == Misfit((1, 5), (4, 5))


def test_updates_every_n_steps_are_truncated(equation, printed, system, torch_gradients, relative):
    def loss(logits):
        return (system.targets - torch.softmax(logits, -1)).square().sum()

    exact = torch_gradients(without_biases(system), loss)["weight_hh"]
    assert relative(equation("T", "every N steps").corrected(system), exact) < 1e-12
    assert relative(printed("T", "every N steps"), exact) > 1e-3
    torch.testing.assert_close(printed("T", "every N steps"), _detached(system), rtol=1e-11, atol=1e-13)


def _detached(system):
    """The usual training loop: the state is carried on, its graph is not."""
    weight = system.weight_hh.clone().requires_grad_()
    h = system.initial_state
    for start in range(0, system.steps, WINDOW):
        h, loss = h.detach(), torch.zeros((), dtype=torch.float64)
        for t in range(start, start + WINDOW):
            h = torch.tanh(system.weight_ih @ system.inputs[t] + weight @ h)
            loss = loss + (system.targets[t] - torch.softmax(system.weight_ho @ h, -1)).square().sum()
        loss.backward()
    return weight.grad
