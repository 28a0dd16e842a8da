"""What only the GRU has: gates that interpolate; the rest is tests/contracts/test_torch_parity.py."""

import torch
from layers.comparison import EXACT, assert_near, evaluate, filled, normal

import throughtime as tt

T, B, INPUT, HIDDEN = 7, 5, 3, 9


def with_gate(gru: tt.GRU, gate: int, bias: float) -> tt.GRU:
    with torch.no_grad():
        gru.bias_ih_l0[gate * HIDDEN : (gate + 1) * HIDDEN] = bias
    return gru


def test_an_update_gate_held_open_carries_the_state_and_its_gradient_unchanged():
    gru = with_gate(filled(tt.GRU(INPUT, HIDDEN, dtype=torch.float64), seed=2), gate=1, bias=1e3)
    h_0, weights = normal(3, 1, B, HIDDEN).requires_grad_(), normal(4, 1, B, HIDDEN)
    final = gru(normal(1, 50, B, INPUT), h_0)[1]
    torch.testing.assert_close(final, h_0, rtol=0, atol=1e-15)
    assert torch.equal(torch.autograd.grad(final, h_0, weights)[0], weights)


def test_with_both_gates_held_it_is_an_elman_network():
    """r = 1 and z = 0 leave h = n = tanh(a^x + a^h)."""
    gru = with_gate(with_gate(filled(tt.GRU(INPUT, HIDDEN, dtype=torch.float64), seed=2), 0, 1e3), 1, -1e3)
    rnn = tt.RNN(INPUT, HIDDEN, dtype=torch.float64)
    rnn.load_state_dict({name: value[2 * HIDDEN :] for name, value in gru.state_dict().items()})
    x, h_0 = normal(1, T, B, INPUT), (normal(3, 1, B, HIDDEN),)
    actual, expected = evaluate(gru, x, h_0), evaluate(rnn, x, h_0)
    for name in actual:
        if "weight" in name or "bias" in name:
            assert not actual[name][: 2 * HIDDEN].any()
            actual[name] = actual[name][2 * HIDDEN :]
    assert_near(actual, expected, EXACT)


def test_the_reset_gate_acts_after_the_recurrent_product():
    """r = 0 leaves n = tanh(a^x): the recurrent bias is shut out too, which sets it apart from the original form."""
    gru = with_gate(with_gate(filled(tt.GRU(INPUT, HIDDEN, dtype=torch.float64), seed=2), 0, -1e3), 1, -1e3)
    x = normal(1, T, B, INPUT)
    expected = torch.tanh(x @ gru.weight_ih_l0[2 * HIDDEN :].T + gru.bias_ih_l0[2 * HIDDEN :])
    assert_near({"y": gru(x, normal(3, 1, B, HIDDEN))[0]}, {"y": expected}, EXACT)
