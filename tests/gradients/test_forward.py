from dataclasses import replace

import pytest
import torch
from examples_of import CELLS, INPUT
from gradients.forward_problems import problem
from oracles import relative

import throughtime as tt
from throughtime.benchmark.memory import peak_bytes
from throughtime.cells import Recurrence
from throughtime.errors import ArgumentError, UnsupportedError
from throughtime.gradients import run
from throughtime.sequences import Sequence

FORWARD = {
    "RTRL": tt.RTRL(),
    "SnAp-1": tt.SnAp(1),
    "SnAp-2": tt.SnAp(2),
    "UORO": tt.UORO(2),
    "RFLO": tt.RFLO(0.4),
    "EProp": tt.EProp(),
}
APPROXIMATE = {name: method for name, method in FORWARD.items() if name != "RTRL"}


@pytest.mark.parametrize("name", ["Elman-tanh", "LSTM", "function"])
@pytest.mark.parametrize("method", FORWARD.values(), ids=FORWARD)
def test_padding_changes_nothing_not_even_an_approximation(method, name):
    """Rows that are all as long as the shortest sequence that holds them, and the same with three padded steps."""
    try:
        method.check(CELLS[name])
    except UnsupportedError:
        assert name == "LSTM" and isinstance(method, tt.RFLO)
        return
    long = problem(CELLS[name])
    x = long.sequence.x.detach()[:4].requires_grad_()
    padded = torch.cat((x, torch.full_like(x[:3], float("nan"))))
    short = replace(
        long,
        sequence=Sequence(x, long.sequence.initial, long.sequence.reset_state),
        weights=(long.weights[0][:4], *long.weights[1:]),
    )
    expected = short.gradients(method)
    h, final = run(
        method,
        Recurrence(
            long.cell,
            long.parameters,
            Sequence(padded, long.sequence.initial, long.sequence.reset_state, torch.tensor([4, 4, 4, 4])),
        ),
    )
    loss = sum((w * one).sum() for w, one in zip(long.weights, (h, *final), strict=True))
    ours = torch.autograd.grad(loss, list(short.wanted.values()), materialize_grads=True)
    for (key, reference), one in zip(expected.items(), ours, strict=True):
        assert relative(one, reference) <= 1e-13, key


@pytest.mark.parametrize("method", [tt.RFLO(0.4), tt.EProp()], ids=["RFLO", "EProp"])
def test_local_methods_pass_on_to_x_what_the_step_alone_gives(method):
    given = problem(CELLS["Elman-tanh"], "lengths")
    ours = given.gradients(method)["x"]
    sequence = given.sequence
    g = given.weights[0] * (~sequence.padding[..., None])
    ends = [(t - 1, row) for row, t in enumerate(sequence.lengths.tolist()) if t]
    g = g.clone()
    for t, row in ends:
        g[t, row] += given.weights[1][row]
    h, _ = run(tt.BPTT(), Recurrence(given.cell, given.parameters, sequence))
    entering = torch.cat((sequence.initial[0][None], h[:-1])).detach()
    for t in range(len(g)):
        _, d_x, _ = given.cell.step_vjp(given.parameters, sequence.x[t], (entering[t],), (g[t],))
        assert relative(ours[t], d_x.masked_fill(sequence.padding[t][:, None], 0)) <= 1e-13


@pytest.mark.parametrize("method", [tt.SnAp(1), tt.UORO(1)], ids=["SnAp", "UORO"])
def test_the_others_have_the_exact_gradient_of_x(method):
    given = problem(CELLS["GRU"], "lengths resets")
    assert relative(given.gradients(method)["x"], given.gradients(tt.BPTT())["x"]) <= 1e-13


@pytest.mark.parametrize("method", FORWARD.values(), ids=FORWARD)
def test_memory_does_not_grow_with_time(method):
    cell = CELLS["Elman-tanh"]
    parameters = {name: value.detach().requires_grad_() for name, value in problem(cell).parameters.items()}
    needed = []
    for steps in (5, 25):
        x = torch.randn(steps, 2, INPUT, dtype=torch.float64)
        state = (torch.randn(2, 5, dtype=torch.float64, requires_grad=True),)
        h, _ = run(method, Recurrence(cell, parameters, Sequence(x, state, state)))
        weights = torch.randn_like(h)
        needed.append(peak_bytes(lambda h=h, w=weights: torch.autograd.grad(h, list(parameters.values()), w)))
    assert needed[1] == needed[0] > 1000, needed


def test_no_steps_at_all_pass_the_state_through():
    cell = CELLS["LSTM"]
    parameters = problem(cell).parameters
    state = tuple(torch.randn(2, 5, dtype=torch.float64, requires_grad=True) for _ in range(2))
    h, final = run(
        tt.RTRL(), Recurrence(cell, parameters, Sequence(torch.zeros(0, 2, INPUT, dtype=torch.float64), state, state))
    )
    weights = [torch.randn_like(member) for member in final]
    gradients = torch.autograd.grad(final, [*state, *parameters.values()], weights)
    assert h.shape == (0, 2, 5)
    assert all(torch.equal(g, w) for g, w in zip(gradients, weights, strict=False))
    assert all(torch.count_nonzero(g) == 0 for g in gradients[2:])


@pytest.mark.parametrize("name", FORWARD)
def test_per_step_clipping_is_refused_by_name(name):
    with pytest.raises(ArgumentError, match=rf"clip_step is 1\.0 in {name.split('-')[0]}; .*never forms.*leave it"):
        replace(FORWARD[name], clip_step=1.0)


@pytest.mark.parametrize("method", FORWARD.values(), ids=FORWARD)
def test_a_tap_is_refused_by_name(method):
    rnn = tt.RNN(3, 5, gradient=method)
    with pytest.raises(UnsupportedError, match=rf"{type(method).__name__}.*never forms the total"), tt.tap(rnn):
        rnn(torch.randn(4, 2, 3))


@pytest.mark.parametrize("method", APPROXIMATE.values(), ids=APPROXIMATE)
def test_an_approximation_is_not_differentiated_again(method):
    rnn, x = tt.RNN(3, 5, gradient=method), torch.randn(4, 2, 3, requires_grad=True)
    y, _ = rnn(x)
    with pytest.raises(UnsupportedError, match=rf"{type(method).__name__}.*gives an approximation.*create_graph=True"):
        torch.autograd.grad(y.sum(), x, create_graph=True)
    with pytest.raises(UnsupportedError, match=rf"{type(method).__name__}.*not the exact gradient"):
        torch.func.grad(lambda x: rnn(x)[0].sum())(x.detach())
