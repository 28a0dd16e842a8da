"""The eigenvalue statements of [Y]: each counterexample worked out again, without the room's functions."""

import math

import pytest
import torch


@pytest.fixture
def numbers(equation, system):
    def of(number: str, reading: str = "") -> dict[str, float]:
        experiment = equation("Y", number, reading).experiment(system)
        assert experiment.shown
        return dict(experiment.numbers)

    return of


def test_spectral_radius_below_one_can_grow_first(numbers):
    measured = numbers("|λ| < 1", "at a finite lag")
    assert measured["radius"] == 0 and measured["norm"] == pytest.approx(10)
    # ‖[[ρ, c], [0, ρ]]^n‖ is about n c ρ^(n−1), largest near n = −1/ln ρ = 9.5.
    assert measured["peak_lag"] in (9, 10)
    assert measured["peak"] == pytest.approx(9 * 10 * 0.9**8, rel=0.01)
    assert 0.9 ** (measured["small"] - 1) * measured["small"] * 10 == pytest.approx(1, rel=0.1)


def test_whole_gradient_does_not_vanish(numbers):
    measured = numbers("|λ| < 1", "the whole gradient")
    assert measured["long"] == pytest.approx(2, rel=0.01), "the sum over lags tends to 1 / (1 − ρ)"
    assert measured["single"] == pytest.approx(0.5**299 / 300)


def _driven_product(weight: torch.Tensor, state: torch.Tensor, lags: int) -> torch.Tensor:
    """∂h_lags/∂h_0 of h = tanh(W h + x) with the constant x that keeps `state`, by autograd through the loop."""
    drive = torch.atanh(state) - weight @ state

    def last(start: torch.Tensor) -> torch.Tensor:
        h = start
        for _ in range(lags):
            # Rounding would leave an unstable fixed point: the state is put back, its derivative stays.
            h = torch.tanh(drive + weight @ h)
            h = h + (state - h).detach()
        return h

    value = torch.autograd.functional.jacobian(last, state)
    assert isinstance(value, torch.Tensor)
    return value


def test_tanh_can_explode_with_spectral_radius_zero(numbers):
    measured = numbers("|λ| < 1", "a tanh network")
    weight = torch.tensor([[2.0, -2.0], [2.0, -2.0]], dtype=torch.float64)
    assert torch.count_nonzero(weight @ weight) == 0
    product = _driven_product(weight, torch.tensor([0.0, math.sqrt(0.8)], dtype=torch.float64), 50)
    assert measured["tanh"] == pytest.approx(torch.linalg.matrix_norm(product, 2).item(), rel=1e-6)
    assert measured["tanh"] > 1e9 and measured["slope"] == pytest.approx(1.6)


def test_powers_do_not_go_to_plus_infinity(numbers):
    measured = numbers("|λ| > 1", "as an equation of matrices")
    assert measured["odd"] == pytest.approx(-(1.5**49)) and measured["even"] == pytest.approx(1.5**50)
    assert measured["other"] == pytest.approx(0.5**50) and measured["norm"] == pytest.approx(1.5**50)


def test_error_without_growing_part_vanishes(numbers):
    measured = numbers("|λ| > 1", "the gradient")
    assert measured["power"] == pytest.approx(1.5**50) and measured["carried"] == pytest.approx(0.5**50)


def test_tanh_can_vanish_with_spectral_radius_two(numbers):
    measured = numbers("|λ| > 1", "a tanh network")
    assert measured["state"] == pytest.approx(0.9575040240772688, rel=1e-14)
    assert math.log(measured["slope"]) == pytest.approx(-1.793528506542228, rel=1e-12)
    product = _driven_product(
        torch.tensor([[2.0]], dtype=torch.float64), torch.tensor([measured["state"]], dtype=torch.float64), 50
    )
    assert measured["tanh"] == pytest.approx(product.item(), rel=1e-9)


def test_activations_amplify_both_ways(numbers):
    measured = numbers("activations")
    assert measured["vanishing"] < 1e-30 < 1 < measured["vanishing_linear"]
    assert measured["exploding"] > 1e9 and measured["exploding_linear"] == 0
