import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from diagnosis.recorded import MASKS, T, jacobians, recorded, run_of
from examples_of import CELLS, INPUT

import throughtime as tt
from throughtime.cells import AffineCell, ElmanCell
from throughtime.diagnosis import spectrum_of
from throughtime.diagnosis.spectra import matrix_spectrum
from throughtime.errors import ArgumentError, NonFiniteError


def _sorted(eigenvalues) -> np.ndarray:
    """Pairs [real, imaginary] or complex numbers, in one order."""
    values = np.asarray(eigenvalues)
    return np.sort_complex(np.round(values[:, 0] + 1j * values[:, 1] if values.ndim == 2 else values, 8))


@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize("name", CELLS)
def test_jacobians_are_sampled_where_the_state_moves(name, masks):
    run = run_of(CELLS[name], masks)
    expected = [jacobian.numpy() for jacobian in jacobians(run).values()]
    found = spectrum_of(run, samples=99)
    assert len(found.jacobian_norms) == len(expected)
    norms = [np.linalg.svd(one, compute_uv=False)[0] for one in expected]
    assert sorted(found.jacobian_norms) == pytest.approx(sorted(norms), rel=1e-8)
    radii = [abs(np.linalg.eigvals(one)).max() for one in expected]
    assert sorted(found.jacobian_radii) == pytest.approx(sorted(radii), rel=1e-8)
    size = sum(CELLS[name].state_sizes.values())
    assert len(found.jacobian_eigenvalues) == size * len(expected)
    total = sum(np.trace(one) for one in expected)
    assert sum(real for real, _ in found.jacobian_eigenvalues) == pytest.approx(total, rel=1e-8)


def test_samples_are_evenly_chosen_from_the_first_step_to_the_last():
    run = run_of(CELLS["Elman-tanh"], "lengths-and-resets")
    by_place = jacobians(run)
    places = sorted(by_place)
    assert len(places) == 14
    chosen = [places[index] for index in (0, 3, 6, 10, 13)]
    expected = [np.linalg.norm(by_place[place].numpy(), 2) for place in chosen]
    assert spectrum_of(run, samples=5).jacobian_norms == pytest.approx(expected, rel=1e-10)
    assert len(spectrum_of(run).jacobian_norms) == 14 and len(spectrum_of(run_of(CELLS["GRU"])).jacobian_norms) == 16


@pytest.mark.parametrize(
    ("name", "gates"),
    [
        ("Elman-tanh", ["weight_hh"]),
        ("LSTM", ["input gate", "forget gate", "candidate", "output gate"]),
        ("GRU", ["reset gate", "update gate", "new"]),
    ],
)
def test_weights_are_taken_gate_by_gate(name, gates):
    run = run_of(CELLS[name])
    found = spectrum_of(run).weights
    assert list(found) == gates
    for one, block in zip(found.values(), run.parameters["weight_hh"].detach().numpy().reshape(-1, 5, 5), strict=True):
        eigenvalues = np.linalg.eigvals(block)
        assert np.allclose(_sorted(one.eigenvalues), _sorted(eigenvalues), atol=1e-7)
        assert one.singular_values == pytest.approx(np.linalg.svd(block, compute_uv=False).tolist(), rel=1e-10)
        assert one.radius == pytest.approx(abs(eigenvalues).max(), rel=1e-10)
        expected = math.sqrt((block**2).sum() - (abs(eigenvalues) ** 2).sum()) / math.sqrt((block**2).sum())
        assert one.departure == pytest.approx(expected, rel=1e-8) and expected > 0.1
        assert one.power_norms[:3] == pytest.approx([1, np.linalg.norm(block, 2), np.linalg.norm(block @ block, 2)])
        assert len(one.power_norms) == 65


def test_a_cell_of_ones_own_has_numbered_blocks():
    @dataclass(frozen=True)
    class Product(AffineCell):
        gates: ClassVar[int] = 2

        def update(self, a_x, a_h, state):
            a, b = (a_x + a_h).chunk(2, dim=-1)
            return (a * b,), (a, b)

        def update_vjp(self, residuals, cotangent):
            (a, b), (g,) = residuals, cotangent
            e = torch.cat((g * b, g * a), dim=-1)
            return e, e, (None,)

    found = spectrum_of(run_of(Product(INPUT, 5)))
    assert list(found.weights) == ["weight_hh block 0", "weight_hh block 1"] and found.bound is None


def test_a_function_has_jacobians_only():
    found = spectrum_of(run_of(CELLS["function-two-members"]))
    assert found.weights == {} and found.bound is None and len(found.jacobian_norms) == 16


def test_under_a_projection_the_blocks_are_not_square():
    run = run_of(CELLS["LSTM-proj"])
    for one in spectrum_of(run).weights.values():
        assert one.eigenvalues == one.power_norms == [] and len(one.singular_values) == 2
        assert math.isnan(one.radius) and math.isnan(one.departure)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu", "identity"])
def test_no_product_of_jacobians_exceeds_pascanus_bound(nonlinearity):
    run = run_of(ElmanCell(INPUT, 5, nonlinearity=nonlinearity))
    bound = spectrum_of(run).bound
    assert bound == pytest.approx(np.linalg.norm(run.parameters["weight_hh"].detach().numpy(), 2), rel=1e-12)
    by_place, product = jacobians(run), torch.eye(5, dtype=torch.float64)
    for lag in range(1, T + 1):
        product = by_place[lag - 1, 0] @ product
        assert np.linalg.norm(product.numpy(), 2) <= bound**lag * (1 + 1e-12)
        if nonlinearity == "identity" and lag == 1:
            assert np.linalg.norm(product.numpy(), 2) == pytest.approx(bound)


def test_only_an_elman_cell_has_the_bound():
    assert spectrum_of(run_of(CELLS["LSTM"])).bound is spectrum_of(run_of(CELLS["GRU"])).bound is None


def test_a_normal_matrix_does_not_depart_from_normality():
    orthogonal = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64))[0]
    assert matrix_spectrum(orthogonal).departure < 1e-7 and matrix_spectrum(torch.zeros(3, 3)).departure == 0
    nilpotent = matrix_spectrum(torch.tensor([[0.0, 10.0], [0.0, 0.0]]))
    assert (nilpotent.departure, nilpotent.radius, nilpotent.power_norms[1]) == (1, 0, 10)


def test_a_model_in_float32_is_looked_at_in_float64():
    rnn = tt.RNN(INPUT, 5)
    run = recorded(rnn, torch.randn(T, 2, INPUT))
    exact = np.linalg.svd(rnn.weight_hh_l0.detach().double().numpy(), compute_uv=False)
    assert spectrum_of(run).weights["weight_hh"].singular_values == pytest.approx(exact.tolist(), rel=1e-13)


def test_a_run_that_never_moves_has_weights_only():
    run = recorded(tt.GRU(INPUT, 5), torch.randn(1, 2, INPUT), resets=torch.ones(1, 2, dtype=torch.bool))
    found = spectrum_of(run)
    assert len(found.weights) == 3
    assert found.jacobian_norms == found.jacobian_radii == found.jacobian_eigenvalues == []


@pytest.mark.parametrize("place", ["weight", "state"])
def test_what_is_not_finite_is_named(place):
    run = run_of(CELLS["GRU"], "lengths")
    if place == "weight":
        with torch.no_grad():
            run.parameters["bias_hh"][3] = math.inf
    else:
        run.entering[0][7:, 0, 2] = math.nan
    message = "bias_hh holds a NaN" if place == "weight" else "the state that enters step 7 of row 0"
    with pytest.raises(NonFiniteError, match=message):
        spectrum_of(run, samples=99)


def test_no_samples_are_refused():
    with pytest.raises(ArgumentError, match="samples is 0"):
        spectrum_of(run_of(CELLS["GRU"]), samples=0)


@pytest.mark.parametrize("size", [1e200, 1e-200])
def test_the_departure_from_normality_does_not_depend_on_the_size(size):
    matrix = torch.tensor([[1.0, 1.0], [0.0, 1.0]], dtype=torch.float64)
    assert matrix_spectrum(matrix * size).departure == pytest.approx(1 / math.sqrt(3), rel=1e-6)
