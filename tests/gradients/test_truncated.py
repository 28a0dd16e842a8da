import pytest
import torch
from examples_of import CELLS, INPUT, parameters_of, states_of
from oracles import relative, unrolled

import throughtime as tt
from throughtime.cells import Recurrence
from throughtime.errors import ArgumentError, UnsupportedError
from throughtime.gradients import run
from throughtime.sequences import Sequence

T, B = 7, 5
LENGTHS = torch.tensor([7, 0, 1, 4, 7])


def _problem(cell, masks):
    parameters = parameters_of(cell)
    x = torch.randn(T, B, INPUT, dtype=torch.float64, requires_grad=True)
    resets = torch.zeros(T, B, dtype=torch.bool)
    resets[0, 3] = resets[2, 0] = resets[5, 0] = resets[3, 3] = True
    lengths = LENGTHS if "lengths" in masks else None
    sequence = Sequence(x, states_of(cell, B), states_of(cell, B), lengths, resets if "resets" in masks else None)
    output = next(iter(cell.state_sizes.values()))
    weights = [torch.randn(T, B, output, dtype=torch.float64), *map(torch.randn_like, states_of(cell, B))]
    wanted = {"x": x, **parameters, **{f"initial_{i}": member for i, member in enumerate(sequence.initial)}}
    if sequence.resets is not None:
        wanted |= {f"reset_{i}": member for i, member in enumerate(sequence.reset_state)}
    return parameters, sequence, weights, wanted


def _gradients(method, cell, parameters, sequence, weights, wanted):
    h, final = run(method, Recurrence(cell, parameters, sequence))
    loss = sum((w * one).sum() for w, one in zip(weights, (h, *final), strict=True))
    return torch.autograd.grad(loss, list(wanted.values()), materialize_grads=True)


def _window_by_window(horizon, cell, parameters, sequence, weights, wanted):
    """Each step's loss on a loop of its own, whose state is detached where it enters the window."""
    of_outputs, *of_final = weights
    loss = torch.zeros((), dtype=torch.float64)
    for row in range(B):
        length = T if sequence.lengths is None else int(sequence.lengths[row])
        initial, reset_state = (tuple(m[row : row + 1] for m in s) for s in (sequence.initial, sequence.reset_state))
        state = initial
        for t in range(length):
            state = initial
            for k in range(t + 1):
                if k > 0 and k == t - horizon + 1:
                    state = tuple(member.detach() for member in state)
                if sequence.resets is not None and sequence.resets[k, row]:
                    state = reset_state
                state = cell.step(parameters, sequence.x[k, row : row + 1], state)
            loss = loss + (of_outputs[t, row] * state[0]).sum()
        loss = loss + sum((w[row] * member).sum() for w, member in zip(of_final, state, strict=True))
    return torch.autograd.grad(loss, list(wanted.values()), materialize_grads=True)


@pytest.mark.parametrize("masks", ["plain", "lengths", "resets", "lengths-and-resets"])
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_each_loss_reaches_back_through_its_own_window(cell, masks):
    parameters, sequence, weights, wanted = _problem(cell, masks)
    for horizon in (1, 2, 5):
        ours = _gradients(tt.TruncatedBPTT(horizon), cell, parameters, sequence, weights, wanted)
        reference = _window_by_window(horizon, cell, parameters, sequence, weights, wanted)
        distances = {name: relative(a, b) for name, a, b in zip(wanted, ours, reference, strict=True)}
        assert all(distance <= 1e-12 for distance in distances.values()), (horizon, distances)


def test_windows_are_really_cut():
    """Against the mistake that would pass every test above: a cell whose J is zero."""
    parameters, sequence, weights, wanted = _problem(CELLS["LSTM"], "plain")
    cut, more, whole = (
        _gradients(method, CELLS["LSTM"], parameters, sequence, weights, wanted)[1]
        for method in (tt.TruncatedBPTT(2), tt.TruncatedBPTT(3), tt.BPTT())
    )
    assert relative(cut, whole) > 0.05 and relative(cut, more) > 0.02


@pytest.mark.parametrize("horizon", [7, 8, 1000])
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_a_horizon_over_all_steps_is_bptt(cell, horizon):
    problem = _problem(cell, "lengths-and-resets")
    for ours, reference in zip(
        _gradients(tt.TruncatedBPTT(horizon), cell, *problem), _gradients(tt.BPTT(), cell, *problem), strict=True
    ):
        assert relative(ours, reference) <= 1e-12


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_a_horizon_over_all_steps_between_resets_is_bptt(cell):
    """Here the windows are formed, and none is cut: what the resets cut is longer than nothing."""
    parameters, sequence, weights, wanted = _problem(cell, "resets")
    resets = torch.zeros(T, B, dtype=torch.bool)
    resets[2] = resets[5, 1:] = resets[4, 0] = True
    problem = parameters, Sequence(sequence.x, sequence.initial, sequence.reset_state, None, resets), weights, wanted
    for ours, reference in zip(
        _gradients(tt.TruncatedBPTT(3), cell, *problem), _gradients(tt.BPTT(), cell, *problem), strict=True
    ):
        assert relative(ours, reference) <= 1e-12


def _powers(method):
    """x_t = w x_{t-1} with w = 0.2 and x_0 = 0.9, three steps; → d x_3 / dw, and of the sum of all."""
    layer = tt.Recurrent(
        lambda p, x, h: p["w"] * h + x,
        parameters={"w": torch.tensor(0.2, dtype=torch.float64)},
        hidden_size=1,
        input_size=1,
        gradient=method,
    )
    y, last = layer(torch.zeros(3, 1, 1, dtype=torch.float64), torch.full((1, 1, 1), 0.9, dtype=torch.float64))
    return [torch.autograd.grad(loss, layer.w_l0, retain_graph=True)[0].item() for loss in (last.sum(), y.sum())]


def test_the_recipe_that_everybody_copies_is_wrong_and_ours_is_not():
    """One graph per step, kept from update to update, and a gradient handed from the one to the one before."""
    w = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    links, x = [], torch.tensor(0.9, dtype=torch.float64)
    for _ in range(3):
        before = x.detach().requires_grad_()
        x = w * before
        links.append((before, x))
        w.grad = None
        x.backward(retain_graph=True)
        for (_, left), (entered, _) in zip(links[-2::-1], links[:0:-1], strict=True):
            left.backward(entered.grad, retain_graph=True)  # .grad still holds what the updates before left there
    assert w.grad.item() == pytest.approx(0.2880, abs=1e-12)

    last, total = _powers(tt.TruncatedBPTT(horizon=3))
    assert last == pytest.approx(3 * 0.2**2 * 0.9, abs=1e-15) == 0.108
    assert total == pytest.approx(0.9 + 2 * 0.2 * 0.9 + 0.108, abs=1e-15)


@pytest.mark.parametrize(("horizon", "last", "total"), [(1, 0.036, 0.9 + 0.18 + 0.036), (2, 0.072, 0.9 + 0.36 + 0.072)])
def test_a_short_horizon_leaves_out_the_terms_beyond_it(horizon, last, total):
    """Each of the `horizon` terms of d x_t / dw is w^(t-1) x_0."""
    assert _powers(tt.TruncatedBPTT(horizon)) == pytest.approx([last, total], abs=1e-15)


@pytest.mark.parametrize("cell", [CELLS["GRU"], CELLS["function-two-members"]], ids=["GRU", "function-two-members"])
def test_the_truncated_gradient_can_be_differentiated(cell):
    parameters, sequence, weights, wanted = _problem(cell, "lengths-and-resets")

    def first(x, create_graph):
        """Of a linear loss: what the loss itself owes to h would be differentiated in windows again."""
        moved = Sequence(x, sequence.initial, sequence.reset_state, sequence.lengths, sequence.resets)
        h, final = run(tt.TruncatedBPTT(2), Recurrence(cell, parameters, moved))
        loss = sum((w * one).sum() for w, one in zip(weights, (h, *final), strict=True))
        gradients = torch.autograd.grad(loss, list(parameters.values()), create_graph=create_graph)
        return sum((g**2).sum() for g in gradients)

    (second,) = torch.autograd.grad(first(sequence.x, True), sequence.x)
    x, direction = sequence.x.detach(), torch.randn_like(sequence.x)
    value = {step: first(x + step * direction, False) for step in (-2e-4, -1e-4, 1e-4, 2e-4)}
    slope = (8 * (value[1e-4] - value[-1e-4]) - (value[2e-4] - value[-2e-4])) / 12e-4
    assert (second * direction).sum().item() == pytest.approx(slope.item(), rel=1e-7)


def test_the_tap_has_the_norms_of_the_windowed_totals():
    lstm = tt.LSTM(INPUT, 4, gradient=tt.TruncatedBPTT(2), dtype=torch.float64)
    x, weights = torch.randn(T, 3, INPUT, dtype=torch.float64), torch.randn(T, 3, 4, dtype=torch.float64)
    with tt.tap(lstm) as tap:
        y, _ = lstm(x, lengths=[7, 4, 0])
    (y * weights).sum().backward()
    cell = tt.cells.LSTMCell(INPUT, 4)
    parameters = {name: getattr(lstm, f"{name}_l0").detach() for name in cell.parameter_shapes()}
    zeros = (torch.zeros(3, 4, dtype=torch.float64),) * 2
    *_, visited = unrolled(lambda row, state: cell.step(parameters, row, state), x, zeros, zeros, [7, 4, 0])
    for (t, row), state in visited.items():
        h, c = (member.requires_grad_() for member in state)
        loss = (weights[t, row] * h).sum()
        if (t + 1, row) in visited:
            loss = loss + (weights[t + 1, row] * cell.step(parameters, x[t + 1, row : row + 1], (h, c))[0]).sum()
        for name, expected in zip("hc", torch.autograd.grad(loss, (h, c), materialize_grads=True), strict=True):
            assert relative(tap.layers["l0"].norms[name][t, row], expected.norm()) <= 1e-12
    assert torch.count_nonzero(tap.layers["l0"].norms["h"][4:, 1]) == 0


def test_what_stands_in_padding_reaches_nothing():
    gru = tt.GRU(INPUT, 4, gradient=tt.TruncatedBPTT(2), dtype=torch.float64)
    x = torch.randn(T, B, INPUT, dtype=torch.float64)
    x[torch.arange(T)[:, None] >= LENGTHS] = float("nan")
    gru(x, lengths=LENGTHS)[0].sum().backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in gru.parameters())


@pytest.mark.parametrize("horizon", [0, -3, 2.0, True, None, "8"])
def test_a_horizon_that_is_no_number_of_steps_is_refused(horizon):
    with pytest.raises(ArgumentError, match=rf"horizon is {horizon!r}; it must be a whole number, at least 1"):
        tt.TruncatedBPTT(horizon)


def test_clipping_a_recursion_that_is_not_run_is_refused():
    with pytest.raises(ArgumentError, match=r"clip_step is 1\.0 in TruncatedBPTT.*leave it out.*clip_gradients"):
        tt.TruncatedBPTT(3, clip_step=1.0)


def test_where_pytorch_differentiates_by_itself_it_is_refused():
    rnn = tt.RNN(INPUT, 4, gradient=tt.TruncatedBPTT(3))
    with pytest.raises(UnsupportedError, match=r"TruncatedBPTT.*not the exact gradient"):
        torch.func.grad(lambda x: rnn(x)[0].sum())(torch.randn(T, B, INPUT))
