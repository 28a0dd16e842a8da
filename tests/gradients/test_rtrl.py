import pytest
import torch
from examples_of import CELLS
from gradients.forward_problems import LENGTHS, away, problem

import throughtime as tt
from throughtime.cells import Recurrence
from throughtime.gradients import run


@pytest.mark.parametrize("layer", [tt.RNN, tt.LSTM, tt.GRU])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_two_layers_have_the_gradients_of_bptt(layer, bidirectional):
    """∂θ of both layers, ∂x, ∂(the initial state) and ∂(what resets return to), which is learned."""
    options = {"num_layers": 2, "bidirectional": bidirectional, "learn_initial_state": True, "dtype": torch.float64}
    ours, exact = layer(3, 5, **options, gradient=tt.RTRL()), layer(3, 5, **options)
    ours.load_state_dict(exact.state_dict())
    resets = torch.zeros(7, 4, dtype=torch.bool)
    resets[0, 3] = resets[2, 0] = resets[5, 0] = resets[3, 3] = True
    x = torch.randn(7, 4, 3, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(7, 4, 5 * (1 + bidirectional), dtype=torch.float64)
    results = []
    for rnn in (ours, exact):
        y, final = rnn(x, lengths=list(LENGTHS), resets=resets)
        members = final if isinstance(final, tuple) else (final,)
        loss = (weights * y).sum() + sum((member**2).sum() for member in members)
        results.append(torch.autograd.grad(loss, [x, *rnn.parameters()]))
    for one, reference in zip(*results, strict=True):
        torch.testing.assert_close(one, reference, rtol=1e-11, atol=1e-13)


def test_it_is_not_backward_recursion_under_another_name(monkeypatch):
    """Where no input needs a gradient, none runs."""
    given = problem(CELLS["GRU"], "lengths resets")
    exact = given.gradients(tt.BPTT())
    monkeypatch.setattr(Recurrence, "backward", lambda *_: pytest.fail("backward recursion"))
    given.sequence.x.requires_grad_(False)
    for name in given.wanted:
        if name != "x":
            (ours,) = _gradient_of(given, name)
            assert away({name: ours}, {name: exact[name]})[name] <= 1e-12


def _gradient_of(given, name):
    h, final = run(tt.RTRL(), Recurrence(given.cell, given.parameters, given.sequence))
    loss = sum((w * one).sum() for w, one in zip(given.weights, (h, *final), strict=True))
    return torch.autograd.grad(loss, given.wanted[name])
