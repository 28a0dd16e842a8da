import warnings

import pytest
import torch
from examples_of import CELLS, INPUT, parameters_of, states_of
from oracles import relative
from torch.utils._python_dispatch import TorchDispatchMode

import throughtime as tt
from throughtime.cells import Recurrence
from throughtime.cells.loop import Loop
from throughtime.errors import ArgumentError, UnsupportedError
from throughtime.gradients import BPTT, ParallelScan, parallel_scan, run
from throughtime.sequences import Sequence

T, B = 9, 5


@pytest.fixture(autouse=True)
def _warned(monkeypatch):
    monkeypatch.setattr(parallel_scan, "_warned", True)


def _sequence(cell):
    x = torch.randn(T, B, INPUT, dtype=torch.float64)
    resets = torch.zeros(T, B, dtype=torch.bool)
    resets[0, 3] = resets[4, 0] = resets[8, 0] = resets[3, 3] = True
    initial, reset_state = (tuple(s.detach() for s in states_of(cell, B)) for _ in range(2))
    return Sequence(x, initial, reset_state, torch.tensor([9, 0, 1, 4, 9]), resets).plain()


@pytest.mark.parametrize("name", ["Elman-identity", "function-linear-diagonal"])
def test_a_linear_cell_runs_forward_without_a_loop(name, monkeypatch):
    cell = CELLS[name]
    parameters, sequence = parameters_of(cell), _sequence(cell)
    loop = Loop(cell).forward(parameters, sequence, None)
    expected, final = loop.outputs, loop.final
    steps = []
    monkeypatch.setattr(type(cell), "advance", _counting(type(cell).advance, steps))
    ours, our_final = run(ParallelScan(), Recurrence(cell, parameters, sequence))
    ours.sum().backward()
    assert set(steps) <= {T * B, (T - 1) * B, int(sequence.lengths.sum()), 2}  # 2 in the check of a function
    assert relative(ours, expected) <= 1e-13
    assert all(relative(a, b) <= 1e-13 for a, b in zip(our_final, final, strict=True))


def _counting(advance, rows):
    def counted(self, parameters, projected, state):
        rows.append(len(projected))
        return advance(self, parameters, projected, state)

    return counted


class _Largest(TorchDispatchMode):
    """The most numbers that any one tensor had."""

    numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        sizes = [one.numel() for one in torch.utils._pytree.tree_leaves(result) if isinstance(one, torch.Tensor)]
        self.numbers = max([self.numbers, *sizes])
        return result


def test_a_diagonal_cell_has_no_matrices():
    hidden = 64
    layer = tt.Recurrent(
        lambda p, x, h: p["a"] * h + x,
        parameters={"a": torch.full((hidden,), 0.5)},
        hidden_size=hidden,
        input_size=hidden,
        linear=True,
        diagonal=True,
        gradient=ParallelScan(limit=1),
    )
    with _Largest() as largest:
        layer(torch.randn(T, B, hidden))[0].sum().backward()
    assert largest.numbers <= T * B * hidden + B * hidden


def test_the_tap_has_bptts_norms():
    records = []
    for method in (BPTT(), ParallelScan()):
        torch.manual_seed(3)
        lstm = tt.LSTM(INPUT, 4, gradient=method, dtype=torch.float64)
        with tt.tap(lstm) as tap:
            y, _ = lstm(torch.randn(T, 3, INPUT, dtype=torch.float64), lengths=[9, 4, 0])
        (y**2).sum().backward()
        records.append(tap.layers["l0"].norms)
    for name in "hc":
        assert relative(records[1][name], records[0][name]) <= 1e-13


def test_too_many_jacobians_are_refused_with_the_bytes_and_the_way_out():
    gru = tt.GRU(3, 50, gradient=ParallelScan(limit="10MB"))
    with pytest.raises(UnsupportedError, match=r"needs 40 MB for 100 steps of 10 rows.*limit is '10MB'.*use BPTT\(\)"):
        gru(torch.randn(100, 10, 3))
    gru(torch.randn(25, 10, 3))[0].sum().backward()
    with torch.no_grad():
        gru(torch.randn(100, 10, 3))  # no Jacobians


def test_clipping_is_refused_because_it_is_not_affine():
    with pytest.raises(ArgumentError, match=r"clip_step is 1\.0 in ParallelScan; clipping is not affine.*BPTT"):
        ParallelScan(clip_step=1.0)


def test_a_limit_that_is_no_amount_is_refused():
    with pytest.raises(ArgumentError, match="limit is 'much'"):
        ParallelScan(limit="much")


def test_it_says_once_that_it_does_not_pay(monkeypatch):
    monkeypatch.setattr(parallel_scan, "_warned", False)
    rnn = tt.RNN(3, 14, gradient=ParallelScan())
    with pytest.warns(UserWarning, match=r"14 numbers of state.*about 16 times.*use BPTT\(\)"):
        rnn(torch.randn(T, B, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rnn(torch.randn(T, B, 3))


def test_a_diagonal_cell_is_not_warned_of(monkeypatch):
    monkeypatch.setattr(parallel_scan, "_warned", False)
    cell = CELLS["function-diagonal"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(ParallelScan(), Recurrence(cell, parameters_of(cell), _sequence(cell)))[0].sum().backward()
