"""The mistakes of [HSK] in its partial derivatives and double sums, (9) to (14), against torch.nn.RNN."""

from dataclasses import replace

import pytest
import torch

from throughtime.lecture_notes.base import Misfit
from throughtime.lecture_notes.differentiation import automatic
from throughtime.lecture_notes.systems import TIME_STEP, cross_entropy, probabilities, states, with_square_weight_ih

IN_SYMBOLS = {"(9)": ("weight_hh", "W_hh"), "(11)": ("weight_ih", "W_ih"), "(13)": ("bias", "b")}
PUT_IN = {"(10)": "weight_hh", "(12)": "weight_ih", "(14)": "bias"}
AS_PRINTED, OTHER_ORDER = "y_t − ŷ_t, as printed", "product t … k+1"


def test_error_is_named_after_the_wrong_variable(equation, printed, system):
    row = equation("HSK", "2.5 ∂L_t/∂ŷ_t")
    output = probabilities(system)[TIME_STEP - 1].detach().requires_grad_()
    (-(system.labels[TIME_STEP - 1] * output.log()).sum()).backward()
    torch.testing.assert_close(row.corrected(system), output.grad)
    assert (row.printed(system) - output.grad).norm() > 0.1 * output.grad.norm()
    torch.testing.assert_close(row.printed(system), -printed("HSK", "(6)", "labels that sum to one"))


def test_read_out_derivative_is_that_of_the_logits(equation, system):
    row, state = equation("HSK", "2.5 ∂ŷ_t/∂h_t"), states(system)[TIME_STEP]
    moved = 1e-6 * torch.tensor([1.0, -2.0, 0.5, 1.5], dtype=torch.float64)

    def output(h):
        return torch.softmax(system.weight_ho @ h + system.bias_o, -1)

    change = output(state + moved) - output(state - moved)
    torch.testing.assert_close(2 * moved @ row.corrected(system), change, rtol=1e-6, atol=1e-12)
    assert (2 * moved @ row.printed(system) - change).norm() > change.norm()
    torch.testing.assert_close(moved @ row.printed(system), system.weight_ho @ moved)


def test_one_minus_h_squared_is_a_diagonal_matrix(equation, printed, system):
    assert printed("HSK", "2.5 ∂h_{j+1}/∂h_j").shape == (4,)
    corrected = equation("HSK", "2.5 ∂h_{j+1}/∂h_j").corrected(system)
    torch.testing.assert_close(corrected, system.weight_hh.T * (1 - states(system)[TIME_STEP].square())[None, :])


def test_immediate_derivatives_have_the_wrong_shape(equation, printed, system):
    assert printed("HSK", "2.5 ∂h_k/∂W").shape == printed("HSK", "2.7 ∂h_k/∂b").shape == (4,)
    assert printed("HSK", "2.6 ∂h_k/∂U") == Misfit((4,), (3,))
    h, slope = states(system)[TIME_STEP - 1], 1 - states(system)[TIME_STEP].square()
    corrected = equation("HSK", "2.5 ∂h_k/∂W").corrected(system)
    assert corrected.shape == (4, 4, 4)
    assert corrected[1, 1, 2] == slope[1] * h[2] and corrected[1, 0, 2] == 0
    assert equation("HSK", "2.6 ∂h_k/∂U").corrected(system)[2, 2, 1] == slope[2] * system.inputs[TIME_STEP - 1, 1]
    torch.testing.assert_close(equation("HSK", "2.7 ∂h_k/∂b").corrected(system), torch.diag(slope))


@pytest.mark.parametrize("number", IN_SYMBOLS)
def test_sums_in_symbols_need_the_latest_step_first(printed, cross_entropy_gradients, number, relative):
    truth = cross_entropy_gradients[IN_SYMBOLS[number][0]]
    assert relative(printed("HSK", number, "latest step leftmost"), truth) < 1e-12
    assert relative(printed("HSK", number, "earliest step leftmost"), truth) > 1e-2


@pytest.mark.parametrize("number", IN_SYMBOLS)
def test_sums_in_symbols_count_total_derivatives_twice(printed, system, cross_entropy_gradients, number, relative):
    parameter, name = IN_SYMBOLS[number]
    value = printed("HSK", number, f"total ∂h_k/∂{name}")
    assert relative(value, cross_entropy_gradients[parameter]) > 0.1
    # A path that starts at step k is met once for each of the steps k … t.
    expected = torch.zeros_like(value)
    for first in range(system.steps):
        delayed = _without_earlier_uses(system, parameter, first)
        expected = expected + delayed
    torch.testing.assert_close(value, expected, rtol=1e-10, atol=1e-12)


def _without_earlier_uses(system, parameter, first):
    """Σ over t > first of the gradient of L_t with respect to h_{t−first}'s parameters, all paths up to there."""
    leaf = getattr(system, parameter).clone().requires_grad_()
    trained, total = replace(system, **{parameter: leaf}), torch.zeros_like(leaf)
    rows = [system.initial_state]
    for x in system.inputs:
        rows.append(torch.tanh(trained.weight_ih @ x + trained.weight_hh @ rows[-1] + trained.bias))
    for t in range(first + 1, system.steps + 1):
        h = rows[t - first]
        for x in system.inputs[t - first : t]:
            h = torch.tanh(system.weight_ih @ x + system.weight_hh @ h + system.bias)
        loss = -(system.labels[t - 1] * torch.log_softmax(system.weight_ho @ h + system.bias_o, -1)).sum()
        total = total + torch.autograd.grad(loss, leaf, retain_graph=True)[0]
    return total


def test_equation_10_does_not_multiply_as_printed(printed):
    assert printed("HSK", "(10)", "factors left to right") == Misfit((1, 5), (4, 5))


@pytest.mark.parametrize("number", PUT_IN)
def test_equations_10_12_14_have_the_wrong_sign(printed, system, cross_entropy_gradients, number, relative):
    parameter = PUT_IN[number]
    value = printed("HSK", number, AS_PRINTED)
    assert relative(value, cross_entropy_gradients[parameter]) == pytest.approx(2, abs=1e-12)
    descended = replace(system, **{parameter: getattr(system, parameter) - 1e-4 * value})
    assert cross_entropy(descended) > cross_entropy(system), "descent along the printed gradient climbs"


@pytest.mark.parametrize("number", PUT_IN)
def test_equations_10_12_14_depend_on_the_order(equation, printed, system, cross_entropy_gradients, number, relative):
    truth = cross_entropy_gradients[PUT_IN[number]]
    assert relative(printed("HSK", number, OTHER_ORDER), truth) > 1e-2
    assert relative(equation("HSK", number, OTHER_ORDER).corrected(system), truth) < 1e-12


def test_equation_12_repeats_equation_10(printed):
    torch.testing.assert_close(printed("HSK", "(12)", "h_{k−1} for x_k"), printed("HSK", "(10)", AS_PRINTED))
    assert printed("HSK", "(12)", "h_{k−1} for x_k").shape == (4, 4) != (4, 3)


def test_equation_12_is_wrong_even_if_the_shape_fits(equation, system, torch_gradients, relative):
    row, network = equation("HSK", "(12)", "h_{k−1} for x_k, I = H"), with_square_weight_ih(system)
    truth = torch_gradients(network, lambda o: torch.nn.functional.cross_entropy(o, network.labels, reduction="sum"))
    assert relative(row.printed(system), truth["weight_ih"]) > 0.1
    assert relative(row.printed(system), truth["weight_hh"]) < 1e-12
    assert relative(row.corrected(system), truth["weight_ih"]) < 1e-12


def test_equation_14_is_the_gradient_of_the_bias(equation, system, cross_entropy_gradients, relative):
    row = equation("HSK", "(14)", "labelled ∂L/∂W")
    assert row.printed(system).shape == (4,) != cross_entropy_gradients["weight_hh"].shape
    assert relative(-row.printed(system), cross_entropy_gradients["bias"]) < 1e-12
    assert automatic(row.reference(system)).shape == (4, 4)
