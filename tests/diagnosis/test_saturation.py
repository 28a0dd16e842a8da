import math

import numpy as np
import pytest
import torch

import throughtime as tt
from throughtime.cells import FunctionCell
from throughtime.diagnosis import saturation
from throughtime.diagnosis.saturation import activations_of, units_of
from throughtime.models.recording import RecordedRun, Recording
from throughtime.records import Role

T, B, INPUT, HIDDEN = 7, 5, 3, 4
LENGTHS = [7, 0, 1, 4, 6]
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


def _run(layer, x=None, hx=None, lengths=None, resets=None) -> RecordedRun:
    layer.gradient = recording = Recording()
    x = torch.randn(T, B, INPUT, dtype=torch.float64) if x is None else x
    y, _ = layer(x, hx, lengths=lengths, resets=resets)
    (y * torch.randn_like(y)).sum().backward()
    return recording.runs[0]


def _visited(layer, x, state, lengths, resets):
    """Every step that counts, by a plain loop: (x_t, the state that entered it, the state that left it), row by row."""
    cell, parameters = layer.cell_and_parameters(0)
    steps = []
    for row in range(B):
        here = tuple(member[0, row : row + 1] for member in state)
        for t in range(lengths[row]):
            if resets[t, row]:
                here = tuple(map(torch.zeros_like, here))
            new = tuple(member.detach() for member in cell.step(parameters, x[t, row][None], here))
            steps.append((t, x[t, row][None], here, new))
            here = new
    return steps


@pytest.fixture(params=[2**22, 1], ids=["at once", "step by step"])
def chunked(request, monkeypatch):
    monkeypatch.setattr(saturation, "VALUES_AT_A_TIME", request.param)


@pytest.mark.usefixtures("chunked")
def test_gates_are_counted_over_the_steps_that_are_no_padding():
    layer = tt.LSTM(INPUT, HIDDEN, dtype=torch.float64)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(6)
    x = 3 * torch.randn(T, B, INPUT, dtype=torch.float64)
    x[2, 2] = math.nan  # in the padding
    state = tuple(torch.randn(1, B, HIDDEN, dtype=torch.float64) for _ in "hc")
    resets = torch.zeros(T, B, dtype=torch.bool)
    resets[3, 0] = resets[2, 4] = True
    found = {one.name: one for one in activations_of(_run(layer, x, state, LENGTHS, resets))}
    w_ih, w_hh, b_ih, b_hh = (value.detach() for value in layer.all_weights[0])
    steps = _visited(layer, x, state, LENGTHS, resets)
    a = torch.cat([row @ w_ih.T + h @ w_hh.T + b_ih + b_hh for _, row, (h, _), _ in steps]).chunk(4, dim=-1)
    c = torch.cat([new[1] for *_, new in steps])
    expected = {
        "input gate": (Role.GATE, torch.sigmoid(a[0]), 0.0),
        "forget gate": (Role.KEEP, torch.sigmoid(a[1]), 0.0),
        "candidate": (Role.CONTENT, torch.tanh(a[2]), -1.0),
        "output gate": (Role.GATE, torch.sigmoid(a[3]), 0.0),
        "tanh(c)": (Role.CONTENT, torch.tanh(c), -1.0),
    }
    assert list(found) == list(expected)
    for name, (role, values, low) in expected.items():
        one, margin = found[name], (1 - low) / 20
        assert (one.role, one.low, one.high) == (role, low, 1.0)
        assert one.mean == pytest.approx(float(values.mean()), abs=1e-12)
        assert one.at_low == pytest.approx(float((values <= low + margin).double().mean()), abs=1e-12)
        assert one.at_high == pytest.approx(float((values >= 1 - margin).double().mean()), abs=1e-12)
        counts, edges = np.histogram(values.numpy(), 20, (low, 1.0))
        assert one.histogram == pytest.approx(counts / values.numel(), abs=1e-12)
        assert one.edges == pytest.approx(edges, abs=1e-12)
    assert 0.05 < found["forget gate"].at_high < 0.95  # else the counts above compare nothing
    by_unit = -1 / np.log(torch.sigmoid(a[1]).numpy()).mean(0)
    assert found["forget gate"].time_constants == pytest.approx(np.quantile(by_unit, LEVELS, method="nearest"))
    assert not any(one.time_constants for one in found.values() if one.role is not Role.KEEP)


@pytest.mark.usefixtures("chunked")
def test_the_size_of_the_state_step_by_step():
    layer = tt.GRU(INPUT, HIDDEN, dtype=torch.float64)
    x, h = torch.randn(T, B, INPUT, dtype=torch.float64), torch.randn(1, B, HIDDEN, dtype=torch.float64)
    resets = torch.zeros(T, B, dtype=torch.bool)
    resets[3, 0] = True
    lengths = [6, 0, 1, 4, 6]  # the last step is reached by no row
    units = units_of(_run(layer, x, h, lengths, resets))
    sizes: list[list[float]] = [[] for _ in range(T)]
    for t, _, _, (new,) in _visited(layer, x, (h,), lengths, resets):
        sizes[t].append(float(new.square().mean()))
    assert units.state_norms[:-1] == pytest.approx([math.sqrt(np.mean(one)) for one in sizes[:-1]], rel=1e-12)
    assert math.isnan(units.state_norms[-1])
    assert (units.units, units.dead) == (HIDDEN, 0)


def test_the_preactivation_is_what_tanh_is_applied_to():
    layer = tt.RNN(INPUT, HIDDEN, dtype=torch.float64)
    run = _run(layer, torch.randn(T, B, INPUT, dtype=torch.float64), lengths=LENGTHS)
    outputs = layer(run.sequence.x, lengths=LENGTHS)[0].detach()
    inside = torch.atanh(outputs[torch.arange(T)[:, None] < torch.tensor(LENGTHS)])
    assert units_of(run).preactivation == pytest.approx(float(inside.square().mean().sqrt()), rel=1e-10)


def test_the_time_constants_of_gates_without_weights_are_those_of_their_biases():
    layer = tt.LSTM(INPUT, 3, dtype=torch.float64)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        # f = 1 - 1/τ is what b = ln(τ - 1) gives; the third is open, up to rounding
        layer.bias_ih_l0[3:6] = torch.tensor([math.log(4.0), math.log(99.0), 800.0])
    forget = activations_of(_run(layer))[1]
    expected = [-1 / math.log(1 - 1 / 5)] * 2 + [-1 / math.log(1 - 1 / 100)] + [math.inf] * 2
    assert forget.time_constants[2:] == pytest.approx(expected[2:])
    assert forget.time_constants[0] == pytest.approx(expected[0])


def test_a_gate_that_keeps_nothing_has_the_time_constant_0():
    layer = tt.GRU(INPUT, HIDDEN, dtype=torch.float64)
    with torch.no_grad():
        layer.bias_ih_l0[HIDDEN : 2 * HIDDEN] = -2000.0
    update = activations_of(_run(layer))[1]
    assert (update.role, update.time_constants, update.at_low) == (Role.KEEP, [0.0] * 5, 1.0)


def test_dead_units_are_those_that_never_change():
    layer = tt.RNN(INPUT, HIDDEN, nonlinearity="relu", dtype=torch.float64)
    with torch.no_grad():
        layer.bias_ih_l0[1:3] = -100.0
        layer.weight_ih_l0[3], layer.weight_hh_l0[3], layer.bias_ih_l0[3] = 0.0, 0.0, 2.5  # alive, and always the same
        layer.bias_ih_l0[0] = 5.0
    run = _run(layer, lengths=LENGTHS)
    assert units_of(run).dead == 3
    (h,) = activations_of(run)
    assert h.at_low == pytest.approx(0.5) and h.at_high == 0.0
    with torch.no_grad():
        assert h.edges[-1] == pytest.approx(float(layer(run.sequence.x, lengths=LENGTHS)[0].max()))
    assert h.edges[0] == 0.0
    assert h.histogram[0] >= 0.5 and sum(h.histogram) == pytest.approx(1.0)


@pytest.mark.parametrize(("steps", "batch", "dead"), [(1, 1, 0), (1, 2, HIDDEN), (2, 1, HIDDEN)])
def test_one_value_alone_says_nothing_about_a_unit(steps, batch, dead):
    layer = tt.RNN(INPUT, HIDDEN, dtype=torch.float64)
    with torch.no_grad():
        layer.weight_hh_l0.zero_()
    assert units_of(_run(layer, torch.ones(steps, batch, INPUT, dtype=torch.float64))).dead == dead


def test_rows_that_have_no_step_leave_empty_counts():
    run = _run(tt.LSTM(INPUT, HIDDEN, dtype=torch.float64), lengths=[0] * B)
    assert activations_of(run) == []
    units = units_of(run)
    assert units.dead == 0 and math.isnan(units.preactivation) and all(map(math.isnan, units.state_norms))


def test_a_cell_that_says_nothing_is_counted_between_the_values_that_came():
    cell = FunctionCell(lambda p, x, h: p["a"] * h + x, {"a": torch.tensor(0.5, dtype=torch.float64)}, INPUT, INPUT)
    run = _run(tt.Recurrent(cell))
    (h,) = activations_of(run)
    values = tt.Recurrent(cell)(run.sequence.x)[0].detach().numpy()
    counts, edges = np.histogram(values, 20)
    assert h.edges == pytest.approx(edges) and h.histogram == pytest.approx(counts / values.size)
    assert (h.low, h.high, h.at_low, h.at_high) == (-math.inf, math.inf, 0.0, 0.0)
    assert math.isnan(units_of(run).preactivation)


def test_what_is_not_finite_is_left_out_and_a_constant_has_bins():
    layer = tt.RNN(INPUT, HIDDEN, nonlinearity="identity", dtype=torch.float64)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.bias_ih_l0.fill_(3.0)
        layer.weight_ih_l0.fill_(1.0)
    x = torch.zeros(T, B, INPUT, dtype=torch.float64)
    x[3, 1, 0], x[4, 0, 2] = math.nan, math.inf
    (h,) = activations_of(_run(layer, x))
    assert (h.mean, h.edges[0], h.edges[-1], h.histogram[0]) == (3.0, 3.0, 6.0, 1.0)
    x.fill_(math.nan)
    (h,) = activations_of(_run(layer, x))
    assert math.isnan(h.mean) and h.histogram == [0.0] * 20 and (h.edges[0], h.edges[-1]) == (0.0, 1.0)


@pytest.mark.parametrize("size", [1e300, 1e-300])
def test_the_size_of_a_state_whose_squares_leave_the_range(size):
    layer = tt.RNN(INPUT, HIDDEN, nonlinearity="identity", bias=False, dtype=torch.float64)
    x = torch.randn(T, B, INPUT, dtype=torch.float64)
    usual, scaled = units_of(_run(layer, x)), units_of(_run(layer, x * size))
    assert scaled.state_norms == pytest.approx([norm * size for norm in usual.state_norms], rel=1e-12, abs=0)


def test_single_precision_agrees_with_double():
    single, double = (tt.GRU(INPUT, HIDDEN, dtype=dtype) for dtype in (torch.float32, torch.float64))
    double.load_state_dict(single.state_dict())
    x = torch.randn(T, B, INPUT)
    for one, other in zip(activations_of(_run(single, x)), activations_of(_run(double, x.double())), strict=True):
        assert one.mean == pytest.approx(other.mean, abs=1e-6)
        assert one.time_constants == pytest.approx(other.time_constants, rel=1e-5)
    assert units_of(_run(single, x)).state_norms == pytest.approx(units_of(_run(double, x.double())).state_norms)
