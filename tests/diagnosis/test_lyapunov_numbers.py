"""Lyapunov exponents that are known: by theory, by other means, or from mean-field theory."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

import throughtime as tt
from throughtime.cells import ElmanCell
from throughtime.diagnosis import lyapunov_exponents
from throughtime.records import Lyapunov


def _linear(weight: torch.Tensor, steps: int, discard: int | None = None) -> Lyapunov:
    """Of the linear network with these weights, on random inputs from a random start."""
    size = len(weight)
    rnn = tt.RNN(2, size, nonlinearity="identity", dtype=torch.float64)
    with torch.no_grad():
        rnn.weight_hh_l0.copy_(weight)
    x, hx = torch.randn(steps, 1, 2, dtype=torch.float64), torch.randn(1, 1, size, dtype=torch.float64)
    return lyapunov_exponents(rnn, x, hx, discard=discard)


def _map(function: Callable, steps: int, *start: torch.Tensor, discard: int | None = None) -> Lyapunov:
    """Of a map of the plane or the line: each start [rows, size] is a member of its state."""
    hidden = {f"h{i}": one.shape[-1] for i, one in enumerate(start)}
    layer = tt.Recurrent(function, parameters={}, hidden_size=hidden, input_size=0)
    members = tuple(one.double()[None] for one in start)
    return lyapunov_exponents(layer, steps, members if len(members) > 1 else members[0], discard=discard)


def test_a_linear_network_has_the_logarithms_of_its_eigenvalues():
    """Not normal, with a complex pair: in the pair each exponent alone oscillates, by 2 ln κ(V) over the steps."""
    blocks = torch.zeros(5, 5, dtype=torch.float64)
    blocks[:2, :2] = 0.9 * torch.tensor([[math.cos(0.7), -math.sin(0.7)], [math.sin(0.7), math.cos(0.7)]])
    blocks[2, 2], blocks[3, 3], blocks[4, 4] = 0.6, -0.3, 0.05
    vectors = torch.randn(5, 5, dtype=torch.float64)
    weight = vectors @ blocks @ torch.linalg.inv(vectors)
    found = _linear(weight, 2000)
    expected = torch.linalg.eigvals(weight).abs().log().sort(descending=True).values.tolist()
    assert found.exponents[2:] == pytest.approx(expected[2:], abs=1e-10)
    assert sum(found.exponents[:2]) == pytest.approx(sum(expected[:2]), abs=1e-10)
    bound = 2 * math.log(torch.linalg.cond(vectors).item()) / found.steps
    assert found.exponents[:2] == pytest.approx(expected[:2], abs=bound) and bound < 0.01


@pytest.mark.parametrize("gain", [1.0, 0.8])
def test_an_orthogonal_network_has_the_logarithm_of_its_gain(gain):
    orthogonal = torch.linalg.qr(torch.randn(7, 7, dtype=torch.float64))[0]
    found = _linear(gain * orthogonal, 300)
    assert found.exponents == pytest.approx([math.log(gain)] * 7, abs=1e-13)
    assert found.errors == pytest.approx([0.0] * 7, abs=1e-13)


def test_a_scalar_tanh_network_at_its_fixed_point():
    rnn = tt.Recurrent(ElmanCell(0, 1, bias=False), dtype=torch.float64)
    with torch.no_grad():
        rnn.weight_hh_l0.fill_(2.0)
    found = lyapunov_exponents(rnn, 200, torch.full((1, 1, 1), 0.3, dtype=torch.float64), discard=100)
    assert found.exponents[0] == pytest.approx(-1.793528506542228, abs=1e-13)


def test_the_logistic_map_has_ln_2():
    """In float64 an orbit could end in 0 by rounding; none of these does."""
    start = torch.linspace(0.11, 0.93, 7, dtype=torch.float64)[:, None]
    found = _map(lambda p, x, h: 4 * h * (1 - h), 6000, start)
    orbit = start.clone()
    for _ in range(6000):
        orbit = 4 * orbit * (1 - orbit)
        assert bool(((orbit > 0) & (orbit < 1)).all())
    assert abs(found.exponents[0] - math.log(2)) < 3 * found.errors[0] < 0.01


def test_henon_contracts_areas_by_0_3():
    def henon(p, x, state):
        return 1 - 1.4 * state[0] ** 2 + state[1], 0.3 * state[0]

    found = _map(henon, 3000, 0.1 * torch.rand(4, 1), 0.1 * torch.rand(4, 1))
    assert sum(found.exponents) == pytest.approx(math.log(0.3), abs=1e-12)
    # The larger one as published (Sprott 2003, 0.41922), within three standard errors.
    assert abs(found.exponents[0] - 0.41922) < 3 * found.errors[0] < 0.03


def test_the_cat_map_has_the_logarithm_of_the_golden_ratio_squared():
    matrix = torch.tensor([[2.0, 1.0], [1.0, 1.0]], dtype=torch.float64)
    found = _map(lambda p, x, h: torch.remainder(h @ matrix, 1), 300, torch.rand(2, 2, dtype=torch.float64))
    assert found.exponents == pytest.approx([0.9624236501192069, -0.9624236501192069], abs=1e-13)


def test_products_of_fresh_gaussian_matrices():
    """Entries of variance 1/N: λ_i = ½ [ln(2/N) + ψ((N - i + 1)/2)]. The matrix of a step is its input."""
    size = 4
    digamma = torch.special.digamma(torch.arange(size, 0, -1, dtype=torch.float64) / 2)
    expected = (0.5 * (math.log(2 / size) + digamma)).tolist()
    assert expected == pytest.approx([-0.135181, -0.328329, -0.635181, -1.328329], abs=1e-6)
    layer = tt.Recurrent(
        lambda p, x, h: torch.einsum("bij,bj->bi", x.unflatten(-1, (size, size)), h),
        parameters={},
        hidden_size=size,
        input_size=size * size,
        linear=True,
    )
    found = lyapunov_exponents(layer, torch.randn(4000, 3, size * size, dtype=torch.float64) / math.sqrt(size))
    for exponent, error, exact in zip(found.exponents, found.errors, expected, strict=True):
        assert abs(exponent - exact) < 3 * error < 0.06


def _random_network(gain: float, size: int, seed: int) -> tuple[tt.Recurrent, torch.Tensor]:
    """h' = gJ tanh(h), told by tanh(h): the same Jacobians in another order."""
    generator = torch.Generator().manual_seed(1000 * size + seed)
    rnn = tt.Recurrent(ElmanCell(0, size, bias=False), dtype=torch.float64)
    with torch.no_grad():
        drawn = torch.randn(size, size, dtype=torch.float64, generator=generator)
        rnn.weight_hh_l0.copy_(gain * drawn / math.sqrt(size))
    return rnn, torch.randn(1, 1, size, dtype=torch.float64, generator=generator)


def _leading(gain: float, size: int, networks: int) -> tuple[float, float]:
    """λ_1, its mean over that many random networks, and the standard error between them."""
    found = torch.tensor(
        [
            lyapunov_exponents(rnn, 500, hx, count=1, discard=100).exponents[0]
            for rnn, hx in (_random_network(gain, size, seed) for seed in range(networks))
        ]
    )
    return found.mean().item(), found.std().item() / math.sqrt(networks)


def _mean_field(gain: float) -> float:
    """½ ln(g² ⟨tanh'(√Δ z)²⟩) with Δ = g² ⟨tanh(√Δ z)²⟩, z normal."""
    z = np.linspace(-12, 12, 4001)
    normal = np.exp(-z * z / 2) / np.exp(-z * z / 2).sum()
    variance = gain * gain
    for _ in range(2000):
        variance = gain**2 * (normal * np.tanh(math.sqrt(variance) * z) ** 2).sum()
    return 0.5 * math.log(gain**2 * (normal * (1 - np.tanh(math.sqrt(variance) * z) ** 2) ** 2).sum())


@pytest.mark.parametrize(("gain", "expected"), [(1.5, 0.065217), (2.0, 0.154724), (3.0, 0.310249)])
def test_a_random_network_has_the_exponent_of_mean_field_theory(gain, expected):
    """Mean-field theory is for N → ∞. N = 128 and 256 lack about a / N: extrapolated, within three errors of it."""
    assert _mean_field(gain) == pytest.approx(expected, abs=1e-6)
    (small, small_error), (large, large_error) = _leading(gain, 128, 12), _leading(gain, 256, 6)
    extrapolated, error = 2 * large - small, math.hypot(2 * large_error, small_error)
    assert abs(extrapolated - expected) < 3 * error < 0.06


def test_a_random_network_turns_chaotic_at_gain_1():
    """Below the transition it comes to rest, and there λ_1 is that of the linear network; above it is positive."""
    for seed in range(4):
        rnn, hx = _random_network(0.8, 100, seed)
        largest = torch.linalg.eigvals(rnn.weight_hh_l0.detach()).abs().max().log().item()
        found = lyapunov_exponents(rnn, 600, hx, count=2, discard=300)
        assert sum(found.exponents) / 2 == pytest.approx(largest, abs=0.02) and found.exponents[0] < -0.1
    below, above = _leading(0.8, 100, 8), _leading(1.5, 100, 8)
    assert below[0] + 3 * below[1] < 0 < above[0] - 3 * above[1]


def _without_recurrent_weights(kind, biases: torch.Tensor, gate: int):
    """A layer of five units whose W_hh is zero, and whose gate has these biases; other weights as they were drawn."""
    layer, (forget, rest) = kind(3, 5, dtype=torch.float64), (slice(5 * gate, 5 * gate + 5), slice(None))
    with torch.no_grad():
        layer.weight_hh_l0[rest].zero_()
        layer.bias_hh_l0[forget].zero_()
        layer.bias_ih_l0[forget].copy_(biases)
    x = torch.randn(1500, 1, 3, dtype=torch.float64)
    a = x[:, 0] @ layer.weight_ih_l0[forget].T + biases
    return layer, x, torch.nn.functional.logsigmoid(a[300:]).mean(0).sort(descending=True).values.tolist()


BIASES = torch.tensor([-1.0, 2.0, 0.5, 3.5, -2.5], dtype=torch.float64)


def test_an_lstm_without_recurrent_weights_forgets_h_at_once_and_c_by_its_forget_gates():
    """The last step of each direction counts by its length in (h, c) instead of c: at most ½ ln 2 over all steps."""
    layer, x, expected = _without_recurrent_weights(tt.LSTM, BIASES, gate=1)
    found = lyapunov_exponents(layer, x, discard=300)
    assert found.exponents[:5] == pytest.approx(expected, abs=0.5 * math.log(2) / 1200)
    assert found.exponents[5:] == [-math.inf] * 5
    assert all(map(math.isnan, found.errors[5:])) and all(map(math.isfinite, found.errors[:5]))


def test_a_gru_without_recurrent_weights_forgets_by_its_update_gates():
    layer, x, expected = _without_recurrent_weights(tt.GRU, BIASES, gate=1)
    found = lyapunov_exponents(layer, x, discard=300)
    assert found.exponents == pytest.approx(expected, abs=1e-9)


def test_dead_units_are_directions_that_are_lost():
    """Two of six units never rise above 0; the others are a network of their own."""
    layer = tt.RNN(2, 6, nonlinearity="relu", dtype=torch.float64)
    alone = tt.RNN(2, 4, nonlinearity="relu", dtype=torch.float64)
    with torch.no_grad():
        layer.bias_ih_l0[2:4] = -100.0
        layer.bias_ih_l0[[0, 1, 4, 5]] = 3.0
        for name, value in alone.named_parameters():
            living = getattr(layer, name)[[0, 1, 4, 5]]
            value.copy_(living[:, [0, 1, 4, 5]] if name == "weight_hh_l0" else living)
    x = torch.rand(400, 2, 2, dtype=torch.float64)
    found, expected = lyapunov_exponents(layer, x), lyapunov_exponents(alone, x)
    assert all(map(math.isfinite, expected.exponents)) and found.exponents[4:] == [-math.inf] * 2
    assert sum(found.exponents[:4]) == pytest.approx(sum(expected.exponents), abs=1e-10)
    assert found.exponents[:4] == pytest.approx(expected.exponents, abs=0.05)
