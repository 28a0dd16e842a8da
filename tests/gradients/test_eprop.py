import pytest
import torch
from examples_of import CELLS, HIDDEN, INPUT
from gradients.forward_problems import away, of_weights, problem
from oracles import relative, unrolled
from torch.nn.functional import linear

import throughtime as tt
from throughtime.cells import AffineCell, FunctionCell, GRUCell, LSTMCell
from throughtime.errors import UnsupportedError

AFFINE = {name: cell for name, cell in CELLS.items() if isinstance(cell, AffineCell) and not cell.proj_size}


@pytest.mark.parametrize("cell", AFFINE.values(), ids=AFFINE)
def test_it_is_what_autograd_finds_where_no_recurrent_weight_is_crossed(cell):
    given = problem(cell, "lengths resets")
    p, sequence = given.parameters, given.sequence

    def step(x, state):
        a_h = linear(state[0].detach(), p["weight_hh"], p.get("bias_hh"))
        return cell.update(cell.project(p, x), a_h, state)[0]

    h, final, _ = unrolled(
        step, sequence.x, sequence.initial, sequence.reset_state, sequence.lengths.tolist(), sequence.resets
    )
    loss = sum((w * one).sum() for w, one in zip(given.weights, (h, *final), strict=True))
    expected = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(p.values()))])
    assert relative(of_weights(given.gradients(tt.EProp()), p), expected) <= 1e-13


@pytest.mark.parametrize("cell", [LSTMCell(INPUT, HIDDEN), GRUCell(INPUT, HIDDEN)], ids=["LSTM", "GRU"])
def test_without_recurrent_weights_it_is_exact(cell):
    nothing = torch.zeros(cell.gates * HIDDEN, HIDDEN, dtype=torch.float64)
    given = problem(cell, "lengths resets", replaced={"weight_hh": nothing})
    distances = away(given.gradients(tt.EProp()), given.gradients(tt.BPTT()))
    assert max(distances[name] for name in distances if name != "x") <= 1e-13, distances
    with_weights = problem(cell, "lengths resets")
    assert away(with_weights.gradients(tt.EProp()), with_weights.gradients(tt.BPTT()))["weight_ih"] > 0.01


def test_a_function_cell_keeps_the_diagonal_of_its_jacobian():
    values = {
        "w": torch.randn(HIDDEN, dtype=torch.float64),
        "w_in": torch.randn(HIDDEN, INPUT, dtype=torch.float64),
    }
    diagonal = FunctionCell(lambda p, x, h: torch.tanh(p["w"] * h + x @ p["w_in"].T), values, HIDDEN, INPUT)
    given = problem(diagonal, "lengths resets")
    distances = away(given.gradients(tt.EProp()), given.gradients(tt.BPTT()))
    assert max(distances[name] for name in distances if name != "x") <= 1e-13, distances
    mixed = problem(CELLS["function"])
    assert away(mixed.gradients(tt.EProp()), mixed.gradients(tt.BPTT()))["w_in"] > 0.01


def test_mixtures_of_units_are_refused():
    with pytest.raises(UnsupportedError, match=r"EProp cannot serve a cell with proj_size = 2.*use proj_size=0, or Sn"):
        tt.EProp().check(CELLS["LSTM-proj"])
    with pytest.raises(UnsupportedError, match=r"EProp cannot serve a function cell with the state .*'v': 4.*or SnAp"):
        tt.EProp().check(CELLS["function-two-members"])
