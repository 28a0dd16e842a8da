import pytest
import torch
from examples_of import CELLS, HIDDEN, INPUT
from gradients.forward_problems import away, of_weights, problem
from oracles import relative, unrolled

import throughtime as tt
from throughtime.cells import FunctionCell
from throughtime.errors import ArgumentError, UnsupportedError


def _leaky(recurrent):
    values = {
        "w_in": torch.randn(HIDDEN, INPUT, dtype=torch.float64),
        "w": recurrent * torch.randn(HIDDEN, HIDDEN, dtype=torch.float64),
        "b": torch.randn(HIDDEN, dtype=torch.float64),
    }

    def step(p, x, h):
        return 0.7 * h + 0.3 * torch.tanh(x @ p["w_in"].T + h @ p["w"].T + p["b"])

    return problem(FunctionCell(step, values, HIDDEN, INPUT), "lengths resets", replaced=values)


def test_it_is_exact_where_the_leak_is_the_only_memory():
    given = _leaky(recurrent=0.0)
    ours, exact = given.gradients(tt.RFLO(leak=0.7)), given.gradients(tt.BPTT())
    distances = away(ours, exact)
    assert max(distances[name] for name in distances if name != "x") <= 1e-13, distances
    assert away(given.gradients(tt.RFLO(leak=0.6)), exact)["w_in"] > 0.01
    connected = _leaky(recurrent=1.0)
    assert away(connected.gradients(tt.RFLO(leak=0.7)), connected.gradients(tt.BPTT()))["w_in"] > 0.01


def test_without_a_leak_it_is_truncation_after_one_step():
    given = problem(CELLS["Elman-tanh"], "lengths resets")
    ours, cut = given.gradients(tt.RFLO()), given.gradients(tt.TruncatedBPTT(1))
    distances = away(ours, cut)
    assert max(distances.values()) <= 1e-13, distances


@pytest.mark.parametrize("name", ["Elman-tanh", "function"])
def test_it_is_what_autograd_finds_where_the_state_goes_on_by_the_leak_alone(name):
    given, leak = problem(CELLS[name], "lengths resets"), 0.6
    cell, sequence = given.cell, given.sequence

    def step(x, state):
        (h,) = state
        return (cell.step(given.parameters, x, (h.detach(),))[0] + leak * (h - h.detach()),)

    h, final, _ = unrolled(
        step, sequence.x, sequence.initial, sequence.reset_state, sequence.lengths.tolist(), sequence.resets
    )
    loss = (given.weights[0] * h).sum() + (given.weights[1] * final[0]).sum()
    expected = torch.autograd.grad(loss, list(given.parameters.values()))
    ours = of_weights(given.gradients(tt.RFLO(leak)), given.parameters)
    assert relative(ours, torch.cat([g.flatten() for g in expected])) <= 1e-13


@pytest.mark.parametrize("name", ["LSTM", "GRU", "function-two-members"])
def test_cells_without_a_fixed_leak_are_refused(name):
    with pytest.raises(UnsupportedError, match=rf"RFLO cannot serve a {type(CELLS[name]).__name__}.*use EProp"):
        tt.RFLO().check(CELLS[name])


@pytest.mark.parametrize("leak", [float("nan"), float("inf"), None, True, "0.5"])
def test_a_leak_that_is_no_number_is_refused(leak):
    with pytest.raises(ArgumentError, match=r"leak is .*; it must be the finite share of its state that a unit keeps"):
        tt.RFLO(leak=leak)
