"""Both references against derivatives known in closed form."""

import pytest
import torch

from throughtime.errors import ArgumentError
from throughtime.lecture_notes.differentiation import Derivative, automatic, central, distance

POINT = torch.tensor([[0.3, -0.7, 1.9], [-2.5, 0.1, 0.8]], dtype=torch.float64)


@pytest.mark.parametrize("reference", [automatic, central])
def test_entrywise_derivative(reference):
    value = reference(Derivative(lambda x: torch.sin(x).sum(), POINT))
    torch.testing.assert_close(value, torch.cos(POINT), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("reference", [automatic, central])
def test_output_axes_come_first(reference):
    value = reference(Derivative(lambda x: x @ torch.arange(3.0, dtype=torch.float64), POINT))
    assert value.shape == (2, 2, 3)
    expected = torch.einsum("ij,k->ijk", torch.eye(2, dtype=torch.float64), torch.arange(3.0, dtype=torch.float64))
    torch.testing.assert_close(value, expected, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("reference", [automatic, central])
def test_transposed_swaps_the_last_axes(reference):
    matrix = POINT
    plain = reference(Derivative(lambda x: matrix @ x, torch.ones(3, dtype=torch.float64)))
    turned = reference(Derivative(lambda x: matrix @ x, torch.ones(3, dtype=torch.float64), transposed=True))
    torch.testing.assert_close(plain, matrix, rtol=1e-10, atol=1e-11)
    torch.testing.assert_close(turned, matrix.T, rtol=1e-10, atol=1e-11)


def test_central_is_of_fourth_order():
    """Halving the step divides the error by sixteen, as long as truncation dominates."""
    point = torch.tensor([0.4], dtype=torch.float64)

    def error(step_size: float) -> float:
        value = central(Derivative(lambda x: torch.exp(3 * x).sum(), point, step_size=step_size))
        return (value - 3 * torch.exp(3 * point)).item()

    assert error(0.04) / error(0.02) == pytest.approx(16, rel=0.02)


def test_a_function_of_two_outputs_is_refused():
    with pytest.raises(
        ArgumentError, match="^derivative.function returned a tuple of tensors; it must return one tensor$"
    ):
        automatic(Derivative(lambda x: (x, x), POINT))  # pyright: ignore[reportArgumentType]


def test_distance_is_relative_and_absolute_at_zero():
    one = torch.ones(4, dtype=torch.float64)
    assert distance(3 * one, -one) == pytest.approx(4)
    assert distance(3 * one, 0 * one) == pytest.approx(6)
