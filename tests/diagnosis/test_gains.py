import math

import numpy as np
import pytest
import torch
from diagnosis.plain_loops import INPUT, B, H, Model, T, data, every_step, layer, resets
from layers.comparison import filled, normal
from torch import Tensor

import throughtime as tt
from throughtime.diagnosis.capture import capture
from throughtime.diagnosis.gains import gain_map
from throughtime.models.recording import RecordedRun


def _generator(seed: int = 2) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _products(run: RecordedRun, rows: list[int]) -> dict[tuple[int, int], Tensor]:
    """(t, r) → ∂s_t/∂s_r = J_t … J_{r+1} of the rows, each J_t from the cell."""
    found = {}
    for r in range(len(run.sequence.x)):
        product = torch.eye(sum(run.cell.state_sizes.values()), dtype=torch.float64).expand(len(rows), -1, -1)
        found[r, r] = product
        for t in range(r + 1, len(run.sequence.x)):
            entering = tuple(member[t] for member in run.entering)
            jacobian = run.cell.state_jacobian(run.parameters, run.sequence.x[t], entering)[rows]
            if run.sequence.resets is not None:
                jacobian = jacobian * ~run.sequence.resets[t, rows][:, None, None]
            product = jacobian @ product
            found[t, r] = product
    return found


def _expected(run: RecordedRun, rows: list[int]) -> tuple[np.ndarray, np.ndarray]:
    steps = len(run.sequence.x)
    gain, spectral = np.full((2, steps, steps), math.nan)
    for (t, r), product in _products(run, rows).items():
        gain[t, r] = product.square().sum((1, 2)).mean().div(product.shape[-1]).sqrt()
        spectral[t, r] = torch.linalg.svdvals(product)[:, 0].max()
    return gain, spectral


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU", "function"])
@pytest.mark.parametrize("mask", ["full", "lengths", "resets"])
def test_the_exact_map_is_of_products_of_the_states_jacobians(kind, mask):
    how = {"full": {}, "lengths": {"lengths": [6, 0, T, T]}, "resets": {"resets": resets()}}[mask]
    model, (x, weights) = Model(layer(kind), **how), data(H)
    (run,) = capture(model, every_step, x, weights).runs.values()
    found = gain_map(run, _generator(), exact=True)
    with torch.no_grad():
        gain, spectral = _expected(run, [2, 3] if mask == "lengths" else list(range(B)))
    assert found.to_steps == found.from_steps == list(range(T))
    np.testing.assert_allclose(found.gain, gain, rtol=1e-10)
    np.testing.assert_allclose(found.spectral, spectral, rtol=1e-10)


@pytest.mark.parametrize("kind", ["RNN", "LSTM"])
def test_random_probes_estimate_the_same(kind):
    """The mean of the squares over many draws is that of the exact map."""
    model, (x, weights) = Model(layer(kind)), data(H)
    (run,) = capture(model, every_step, x, weights).runs.values()
    squares = np.mean([np.square(gain_map(run, _generator(seed)).gain) for seed in range(300)], axis=0)
    with torch.no_grad():
        exact = _expected(run, list(range(B)))[0]
    np.testing.assert_allclose(np.sqrt(squares), exact, rtol=0.15)
    np.testing.assert_allclose(np.diag(np.sqrt(squares)), 1, rtol=1e-9)


def test_no_product_exceeds_the_bound_of_pascanu():
    """‖∂h_t/∂h_r‖ ≤ (γ σ_max)^(t-r) with γ = max tanh' = 1."""
    rnn = filled(tt.RNN(INPUT, H, dtype=torch.float64), seed=6)
    x = normal(1, T, B, INPUT)
    found = tt.gradient_flow(rnn, lambda y, _: y.sum(), x, None, exact_gains=True).jacobian_norms["l0"]
    bound = torch.linalg.matrix_norm(rnn.weight_hh_l0, ord=2).item()
    for t in range(T):
        for r in range(t + 1):
            assert found.gain[t][r] <= found.spectral[t][r] * (1 + 1e-12)
            assert found.spectral[t][r] <= bound ** (t - r) * (1 + 1e-12)
        assert all(math.isnan(value) for value in found.gain[t][t + 1 :])
    linear = tt.RNN(INPUT, H, nonlinearity="identity", dtype=torch.float64)
    with torch.no_grad():
        torch.nn.init.orthogonal_(linear.weight_hh_l0).mul_(1.25)
    found = tt.gradient_flow(linear, lambda y, _: y.sum(), x, None, exact_gains=True).jacobian_norms["l0"]
    assert found.spectral[T - 1][0] == pytest.approx(1.25 ** (T - 1), rel=1e-12)  # where it is reached


def test_a_long_sequence_has_a_grid_from_its_first_step_to_its_last():
    rnn = tt.RNN(1, 1, nonlinearity="identity", dtype=torch.float64)
    with torch.no_grad():
        rnn.weight_hh_l0.fill_(0.99)
    found = tt.gradient_flow(rnn, lambda y, _: y.sum(), normal(1, 300, 2, 1), None).jacobian_norms["l0"]
    assert len(found.to_steps) == 48 and (found.to_steps[0], found.to_steps[-1]) == (0, 299)
    assert found.spectral is None
    for i, t in enumerate(found.to_steps):
        assert found.gain[i][: i + 1] == pytest.approx([0.99 ** (t - r) for r in found.from_steps[: i + 1]], rel=1e-9)


@pytest.mark.parametrize("exact", [False, True])
def test_a_gain_beyond_the_numbers_is_infinite_and_one_whose_square_is_none_is_not(exact):
    rnn = tt.RNN(1, 4, nonlinearity="identity", bias=False)
    torch.nn.init.orthogonal_(rnn.weight_hh_l0, 10.0)
    flow = tt.gradient_flow(rnn, lambda y, _: y[:5].sum(), torch.zeros(45, 2, 1), None, exact_gains=exact)
    gains = flow.jacobian_norms["l0"]
    for rows in (gains.gain, gains.spectral) if exact else (gains.gain,):
        assert rows[30][0] == pytest.approx(1e30, rel=1e-4) and rows[44][0] == float("inf") == rows[44][3]
        assert rows[44][10] == pytest.approx(1e34, rel=1e-4)


def test_a_gain_whose_square_vanishes_is_kept():
    rnn = tt.RNN(1, 4, nonlinearity="identity", bias=False, dtype=torch.float64)
    torch.nn.init.orthogonal_(rnn.weight_hh_l0, 1e-5)
    flow = tt.gradient_flow(rnn, lambda y, _: y.sum(), torch.zeros(45, 2, 1, dtype=torch.float64), None)
    assert flow.jacobian_norms["l0"].gain[44][0] == pytest.approx(1e-220, rel=1e-6, abs=0)
