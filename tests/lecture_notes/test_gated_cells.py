"""The section on gated cells of docs/mathematics.md, carried out literally and compared with torch.nn."""

import pytest
import torch
from torch import Tensor

HIDDEN, INPUT, STEPS = 3, 2, 5


def lstm(a_x: Tensor, a_h: Tensor, s: Tensor) -> Tensor:
    a_i, a_f, a_g, a_o = (a_x + a_h).chunk(4)
    c = torch.sigmoid(a_f) * s[HIDDEN:] + torch.sigmoid(a_i) * torch.tanh(a_g)
    return torch.cat([torch.sigmoid(a_o) * torch.tanh(c), c])


def gru(a_x: Tensor, a_h: Tensor, s: Tensor) -> Tensor:
    (x_r, x_z, x_n), (h_r, h_z, h_n) = a_x.chunk(3), a_h.chunk(3)
    z = torch.sigmoid(x_z + h_z)
    return (1 - z) * torch.tanh(x_n + torch.sigmoid(x_r + h_r) * h_n) + z * s


@pytest.fixture(params=["lstm", "gru"])
def cell(request):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        layer = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[request.param](INPUT, HIDDEN, dtype=torch.float64)
    update, parts = {"lstm": (lstm, 2), "gru": (gru, 1)}[request.param]
    return layer, update, parts


def test_affine_form_gives_torchs_gradients(cell):
    layer, update, parts = cell
    generator = torch.Generator().manual_seed(12)
    x = torch.randn(STEPS, INPUT, generator=generator, dtype=torch.float64, requires_grad=True)
    s_0 = torch.randn(parts * HIDDEN, generator=generator, dtype=torch.float64, requires_grad=True)
    output_errors = torch.randn(STEPS, HIDDEN, generator=generator, dtype=torch.float64)
    initial = s_0[:HIDDEN][None] if parts == 1 else (s_0[:HIDDEN][None], s_0[HIDDEN:][None])
    (layer(x, initial)[0] * output_errors).sum().backward()
    found = documented_gradients(layer, update, x.detach(), s_0.detach(), output_errors)
    expected = {name.removesuffix("_l0"): value.grad for name, value in layer.named_parameters()}
    expected |= {"x": x.grad, "s_0": s_0.grad}
    assert set(found) == set(expected)
    for name, value in found.items():
        torch.testing.assert_close(
            value, expected[name], rtol=1e-11, atol=1e-13, msg=lambda text, n=name: f"{n}: {text}"
        )


def documented_gradients(layer, update, x, s_0, output_errors) -> dict[str, Tensor]:
    W_ih, W_hh, b_ih, b_hh = (value.detach() for value in layer.parameters())
    E = torch.eye(HIDDEN, len(s_0), dtype=torch.float64)
    s, factors = [s_0], []
    for x_t in x:
        arguments = (W_ih @ x_t + b_ih, W_hh @ E @ s[-1] + b_hh, s[-1])
        factors.append(torch.autograd.functional.jacobian(update, arguments))
        s.append(update(*arguments))
    G, e_x, e_h = torch.zeros_like(s_0), [], []
    for t in range(STEPS, 0, -1):
        D_x, D_h, D_s = factors[t - 1]
        G = E.T @ output_errors[t - 1] + G
        e_x.insert(0, D_x.T @ G)
        e_h.insert(0, D_h.T @ G)
        G = (D_h @ W_hh @ E + D_s).T @ G
    errors_x, errors_h, before = torch.stack(e_x), torch.stack(e_h), torch.stack(s[:-1]) @ E.T
    return {
        "weight_ih": errors_x.T @ x,
        "weight_hh": errors_h.T @ before,
        "bias_ih": errors_x.sum(0),
        "bias_hh": errors_h.sum(0),
        "x": errors_x @ W_ih,
        "s_0": G,
    }
