import pytest
import torch
from diagnosis.plain_loops import INPUT, B, H, T, data
from examples_of import CELLS

import throughtime as tt
from throughtime.cells import ElmanCell, GRUCell, LSTMCell
from throughtime.diagnosis import parts
from throughtime.diagnosis.parts import traits_of
from throughtime.records import CellTraits, KeepGate


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_traits_are_what_the_cell_says(cell):
    expected = {
        ElmanCell: CellTraits(True, True, 1.0),
        LSTMCell: CellTraits(True, True, None, KeepGate("forget gate", 1, 4, 1, 0)),
        GRUCell: CellTraits(True, True, None, KeepGate("update gate", 1, 3)),
    }
    assert traits_of(cell, bias=cell.is_affine) == expected.get(type(cell), CellTraits())


@pytest.mark.parametrize("bias", [True, False])
def test_a_record_has_place_and_traits_of_its_recurrence(bias):
    rnn = tt.GRU(INPUT, H, 2, bias=bias, bidirectional=True, dtype=torch.float64)
    x, weights = data(2 * H)
    layers = tt.gradient_flow(rnn, lambda y, w: (w * y).sum(), x, weights, parts=[]).record.layers
    assert [(one.name, one.depth, one.reverse) for one in layers] == [
        ("l0", 0, False), ("l0_reverse", 0, True), ("l1", 1, False), ("l1_reverse", 1, True),
    ]  # fmt: skip
    assert all(one.traits.bias == bias and one.traits.affine for one in layers)


def test_the_direction_is_not_read_off_a_modules_name():
    """A module may be called so that its layers' names end as those of a reverse direction do."""
    model = torch.nn.Module()
    model.add_module("l0_reverse", tt.RNN(INPUT, H, dtype=torch.float64))
    model.forward = lambda x: model.l0_reverse(x)[0]
    x, weights = data(H)
    (one,) = tt.gradient_flow(model, lambda y, w: (w * y).sum(), x, weights, parts=[]).record.layers
    assert (one.name, one.depth, one.reverse) == ("l0_reverse.l0", 0, False)


def test_exponents_are_along_as_many_rows_as_the_budget_allows(monkeypatch):
    rnn, (x, weights) = tt.RNN(INPUT, H, dtype=torch.float64), data(H)
    for entries, rows in ((1, 1), (2 * T * H**2, 2), (2**28, B)):
        monkeypatch.setattr(parts, "LYAPUNOV_JACOBIAN_ENTRIES", entries)
        flow = tt.gradient_flow(rnn, lambda y, w: (w * y).sum(), x, weights, parts=["lyapunov"])
        assert flow.lyapunov["l0"].rows == rows
