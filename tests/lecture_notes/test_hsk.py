"""The mistakes of [HSK] in the softmax and its loss, equations (1) to (8)."""

import pytest
import torch

from throughtime.lecture_notes.hsk import EQUATIONS
from throughtime.lecture_notes.systems import TIME_STEP, logits, probabilities


@pytest.fixture
def output(system):
    return probabilities(system)[TIME_STEP - 1]


@pytest.fixture
def softmax_jacobian(system):
    """Column j from moving logit j; made by hand."""
    point, moved = logits(system)[TIME_STEP - 1], 1e-6
    columns = [
        (torch.softmax(point + moved * unit, -1) - torch.softmax(point - moved * unit, -1)) / (2 * moved)
        for unit in torch.eye(len(point), dtype=torch.float64)
    ]
    return torch.stack(columns, dim=1)


def test_every_numbered_equation_has_a_row():
    assert {f"({number})" for number in range(1, 15)} <= {equation.number for equation in EQUATIONS}


def test_softmax_index_range_counts_classes_instead_of_steps(equation, printed, system):
    assert printed("HSK", "2.1 range").shape == (5, 5)
    assert equation("HSK", "2.1 range").corrected(system).shape == (system.steps, 5)


def test_equation_4_needs_the_sum_over_the_classes(printed, system, output):
    assert printed("HSK", "(4)", "entry by entry").shape == (5,)
    label = system.labels[TIME_STEP - 1].argmax()
    assert printed("HSK", "(4)", "inner product").item() == pytest.approx(-output[label].log().item(), rel=1e-14)


def test_equation_5_lacks_the_off_diagonal(equation, printed, system, softmax_jacobian):
    value = printed("HSK", "(5)")
    torch.testing.assert_close(value.diagonal(), softmax_jacobian.diagonal(), rtol=1e-7, atol=1e-9)
    off = ~torch.eye(5, dtype=torch.bool)
    assert (value[off] > 0).all() and (softmax_jacobian[off] < 0).all()
    torch.testing.assert_close(equation("HSK", "(5)").corrected(system), softmax_jacobian, rtol=1e-7, atol=1e-9)


def test_equation_5_fails_under_a_squared_error(printed, system, output, softmax_jacobian, relative):
    truth = 2 * (output - system.targets[TIME_STEP - 1]) @ softmax_jacobian
    assert relative(printed("HSK", "(5)", "used for a squared error"), truth) > 0.1
    # The logits can be shifted together without changing the outputs, so a right gradient sums to zero.
    assert abs(truth.sum()) < 1e-8 < abs(printed("HSK", "(5)", "used for a squared error").sum())


@pytest.mark.parametrize("line", ["fourth line", "seventh line"])
def test_chain_of_section_2_2_breaks(equation, printed, system, output, line, relative):
    truth = output - system.labels[TIME_STEP - 1]
    assert relative(printed("HSK", "2.2 chain", line), truth) > 1e-2
    torch.testing.assert_close(equation("HSK", "2.2 chain", line).corrected(system), truth)


def test_equation_6_needs_labels_that_sum_to_one(equation, system):
    row = equation("HSK", "(6)", "labels that sum to two")
    values = logits(system)[TIME_STEP - 1].clone().requires_grad_()
    labels = (system.labels + system.labels.roll(1, dims=-1))[TIME_STEP - 1]
    torch.nn.functional.cross_entropy(values, labels).backward()
    assert labels.sum() == 2
    torch.testing.assert_close(row.corrected(system), values.grad)
    assert (row.printed(system) - values.grad).norm() > 0.1 * values.grad.norm()


def test_read_out_gradients_hold(printed, cross_entropy_gradients):
    torch.testing.assert_close(printed("HSK", "(7)"), cross_entropy_gradients["weight_ho"], rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(printed("HSK", "(8)"), cross_entropy_gradients["bias_o"], rtol=1e-12, atol=1e-14)
