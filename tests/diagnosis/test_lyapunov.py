import math

import pytest
import torch
from diagnosis.recorded import MASKS, B, T, jacobians, layer_of, recorded, run_of, start_of
from examples_of import CELLS, INPUT

import throughtime as tt
from throughtime.diagnosis import directions, lyapunov, lyapunov_exponents, lyapunov_of
from throughtime.diagnosis.directions import counted_steps
from throughtime.errors import ArgumentError, NonFiniteError

EVERY_CELL = pytest.mark.parametrize("name", CELLS)
EVERY_MASK = pytest.mark.parametrize("masks", MASKS)


def _start(size: int, count: int) -> torch.Tensor:
    drawn = torch.randn(size, count, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return torch.linalg.qr(drawn)[0]


@EVERY_MASK
@pytest.mark.parametrize("name", [name for name in CELLS if name != "Elman-relu"])
def test_they_are_those_of_the_product_written_out(name, masks):
    """J_t … J_1 Q_0 = Q_t (R_t … R_1), so one decomposition of the whole product has the sum of all logarithms."""
    run = run_of(CELLS[name], masks)
    size, total, steps = sum(run.cell.state_sizes.values()), torch.zeros(3, dtype=torch.float64), 0
    by_place = jacobians(run)
    for row in range(B):
        product = _start(size, 3)
        own = [by_place[t, row] for t in range(T) if (t, row) in by_place]
        for jacobian in own:
            product = jacobian @ product
        total += torch.linalg.qr(product)[1].diagonal().abs().log()
        steps += len(own)
    found = lyapunov_of(run, count=3, discard=0)
    assert found.steps == steps == {"plain": 44, "lengths": 18, "resets": 40, "lengths-and-resets": 14}[masks]
    expected = (total / steps).sort(descending=True).values
    assert torch.allclose(torch.tensor(found.exponents, dtype=torch.float64), expected, rtol=1e-7, atol=1e-8)


@EVERY_MASK
@EVERY_CELL
def test_they_add_up_to_the_mean_of_ln_det(name, masks):
    run = run_of(CELLS[name], masks)
    expected = torch.stack([torch.linalg.slogdet(one)[1] for one in jacobians(run).values()]).mean().item()
    found = lyapunov_of(run, discard=0)
    assert sum(found.exponents) == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert found.exponents == sorted(found.exponents, reverse=True)
    assert len(found.exponents) == len(found.errors) == sum(CELLS[name].state_sizes.values())


@pytest.mark.parametrize(("masks", "share"), [("plain", 2), ("lengths", 2), ("resets", 2), ("lengths-and-resets", 0)])
def test_a_fifth_of_the_longest_stretch_is_discarded_unless_said_otherwise(masks, share):
    run = run_of(CELLS["GRU"], masks)
    found = lyapunov_of(run)
    assert found.discarded == share and found.steps == int(counted_steps(run.sequence, share).sum())
    assert found.exponents == lyapunov_of(run, discard=share).exponents != lyapunov_of(run, discard=1).exponents


@EVERY_MASK
@EVERY_CELL
def test_a_layer_has_the_exponents_of_its_recorded_run(name, masks):
    layer, x, hx = layer_of(CELLS[name]), torch.randn(T, B, INPUT, dtype=torch.float64), start_of(CELLS[name])
    of_run = lyapunov_of(recorded(layer, x, hx, **MASKS[masks]), count=2)
    of_layer = lyapunov_exponents(layer, x, hx if len(hx) > 1 else hx[0], count=2, **MASKS[masks])
    assert of_layer.exponents == pytest.approx(of_run.exponents, rel=1e-10)
    assert (of_layer.steps, of_layer.rows, of_layer.discarded) == (of_run.steps, of_run.rows, of_run.discarded)


@EVERY_MASK
@pytest.mark.parametrize("name", ["LSTM", "function-two-members"])
def test_a_trajectory_in_pieces_is_the_same(name, masks, monkeypatch):
    layer, x, hx = layer_of(CELLS[name]), torch.randn(T, B, INPUT, dtype=torch.float64), start_of(CELLS[name])
    whole = lyapunov_exponents(layer, x, hx, **MASKS[masks])
    monkeypatch.setattr(lyapunov, "STATE_ENTRIES", 120)
    monkeypatch.setattr(directions, "JACOBIAN_ENTRIES", 900)
    pieces = lyapunov_exponents(layer, x, hx, **MASKS[masks])
    assert pieces.exponents == pytest.approx(whole.exponents, rel=1e-9) and pieces.steps == whole.steps


def test_the_longest_rows_are_taken():
    run = run_of(CELLS["LSTM"], "lengths-and-resets")
    two = lyapunov_of(run, rows=2, discard=0)
    assert (two.rows, two.steps) == (2, 13)  # rows 0 and 3: 11 and 6 steps, two resets each
    every = lyapunov_of(run, discard=0)
    assert lyapunov_of(run, rows=9, discard=0).exponents == pytest.approx(every.exponents, rel=1e-12)
    x, hx, options = (
        run.sequence.x,
        run.sequence.initial,
        {"lengths": [11, 6], "resets": run.sequence.resets[:, [0, 3]]},
    )
    cut = tt.LSTM(INPUT, 5, dtype=torch.float64)
    cut.load_state_dict({f"{name}_l0": value for name, value in run.parameters.items()})
    alone = recorded(cut, x[:, [0, 3]].detach(), tuple(member[None, [0, 3]].detach() for member in hx), **options)
    entering = tuple(member[:, [0, 3]] for member in run.entering)
    expected = lyapunov_of(type(run)(run.recurrence.over(alone.sequence), entering, alone.direct), discard=0)
    assert two.exponents == pytest.approx(expected.exponents, rel=1e-12)


@pytest.mark.parametrize("kind", [tt.RNN, tt.LSTM, tt.GRU])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_layer_above_runs_on_what_the_layers_below_give(kind, bidirectional):
    stack = kind(INPUT, 5, num_layers=2, bidirectional=bidirectional, dtype=torch.float64)
    x = torch.randn(T, B, INPUT, dtype=torch.float64)
    names = {name.removesuffix("_l1") for name, _ in stack.named_parameters() if name.endswith("_l1")}
    below = kind(INPUT, 5, bidirectional=bidirectional, dtype=torch.float64)
    below.load_state_dict({name: value for name, value in stack.state_dict().items() if "_l0" in name})
    above = kind(5 * (1 + bidirectional), 5, dtype=torch.float64)
    above.load_state_dict({f"{name}_l0": stack.state_dict()[f"{name}_l1"] for name in names})
    expected = lyapunov_exponents(above, below(x)[0].detach())
    assert lyapunov_exponents(stack, x, depth=1).exponents == pytest.approx(expected.exponents, rel=1e-12)
    assert lyapunov_exponents(stack, x).exponents != pytest.approx(expected.exponents, rel=1e-3)


@pytest.mark.parametrize("batch_first", [False, True])
def test_a_number_of_steps_is_an_input_of_zeros(batch_first):
    rnn = tt.RNN(INPUT, 5, batch_first=batch_first, dtype=torch.float64)
    x, hx = torch.zeros(21, 2, INPUT, dtype=torch.float64), torch.randn(1, 2, 5, dtype=torch.float64)
    expected = lyapunov_exponents(rnn, x.transpose(0, 1) if batch_first else x, hx)
    assert lyapunov_exponents(rnn, 21, hx) == expected and expected.steps == 34
    assert lyapunov_exponents(rnn, 21, hx[:, 0]).steps == lyapunov_exponents(rnn, 21).steps == 17


def test_a_model_in_float32_is_followed_in_float64():
    rnn = tt.RNN(1, 3, nonlinearity="identity")
    with torch.no_grad():
        rnn.weight_hh_l0.copy_(torch.diag(torch.tensor([0.5, 0.75, 0.25])))
    found = lyapunov_exponents(rnn, torch.randn(400, 1, 1)).exponents
    assert found == pytest.approx([math.log(0.75), math.log(0.5), math.log(0.25)], rel=1e-13)


def test_nothing_is_changed_and_nothing_is_drawn():
    layer = layer_of(CELLS["GRU"])
    state, before = torch.get_rng_state(), {name: value.clone() for name, value in layer.named_parameters()}
    lyapunov_exponents(layer, torch.ones(T, B, INPUT, dtype=torch.float64))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) and value.grad is None for name, value in layer.named_parameters())


def test_few_steps_have_no_error_and_none_no_exponent():
    layer = tt.GRU(INPUT, 5, dtype=torch.float64)
    one = lyapunov_exponents(layer, torch.randn(1, 1, INPUT, dtype=torch.float64))
    assert (one.steps, one.discarded) == (1, 0)
    assert all(map(math.isfinite, one.exponents)) and all(map(math.isnan, one.errors))
    for options in ({"resets": torch.ones(1, 2, dtype=torch.bool)}, {"lengths": [0, 0]}):
        none = lyapunov_exponents(layer, torch.randn(1, 2, INPUT, dtype=torch.float64), **options)
        assert (none.steps, none.rows) == (0, 0) and all(map(math.isnan, none.exponents + none.errors))


@pytest.mark.parametrize("place", ["weight", "state", "derivative"])
def test_what_is_not_finite_is_named(place):
    cell = CELLS["GRU"]
    run = run_of(cell, "lengths")
    if place == "weight":
        with torch.no_grad():
            run.parameters["weight_hh"][3, 1] = math.nan
        message = "weight_hh holds a NaN"
    elif place == "state":
        run.entering[0][7:, 0, 2] = math.inf
        message = "the state that enters step 7 of row 0"
    else:
        root = tt.Recurrent(lambda p, x, h: h.clamp(min=0).sqrt() * x, parameters={}, hidden_size=2, input_size=1)
        run = recorded(root, torch.tensor([[[1.0]], [[0.0]], [[1.0]]]).requires_grad_(), torch.ones(1, 1, 2))
        message = "the derivative of the state at step 2 of row 0"
    with pytest.raises(NonFiniteError, match=message):
        lyapunov_of(run)


def test_a_nan_in_the_padding_is_nobodys_business():
    layer, x = layer_of(CELLS["LSTM"]), torch.randn(T, B, INPUT, dtype=torch.float64)
    spoilt, hx = x.clone(), start_of(CELLS["LSTM"])
    spoilt[6:, 3], spoilt[:, 1] = math.nan, math.inf
    expected = lyapunov_exponents(layer, x, hx, **MASKS["lengths"])
    assert lyapunov_exponents(layer, spoilt, hx, **MASKS["lengths"]) == expected
    hx[1][:, 1] = math.nan  # of the row without steps
    assert lyapunov_exponents(layer, x, hx, **MASKS["lengths"]) == expected


def test_the_step_that_is_not_finite_is_counted_through_all_pieces(monkeypatch):
    monkeypatch.setattr(lyapunov, "STATE_ENTRIES", 10)
    x = torch.randn(30, 1, INPUT, dtype=torch.float64)
    x[17, 0, 1] = math.nan
    with pytest.raises(NonFiniteError, match="the derivative of the state at step 17 of row 0"):
        lyapunov_exponents(layer_of(CELLS["GRU"]), x)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 0}, "count is 0; it must be a whole number, at least 1"),
        ({"count": 11}, "count is 11; the state has 10 entries"),
        ({"discard": -1}, "discard is -1"),
        ({"discard": T}, "discard is 11; the longest stretch between resets has 11 steps"),
        ({"depth": 1}, "depth is 1; the stack has 1 layers"),
        ({"x": 0}, "x is 0"),
        ({"layer": torch.nn.LSTM(INPUT, 5)}, "layer is a LSTM; it must be a throughtime.RNN"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    given = {"layer": tt.LSTM(INPUT, 5, dtype=torch.float64), "x": torch.randn(T, B, INPUT, dtype=torch.float64)}
    with pytest.raises(ArgumentError, match=message):
        lyapunov_exponents(**(given | arguments))


def test_no_rows_are_refused():
    with pytest.raises(ArgumentError, match="rows is 0"):
        lyapunov_of(run_of(CELLS["GRU"]), rows=0)


def test_a_batch_without_rows_has_no_exponents():
    none = lyapunov_exponents(tt.LSTM(INPUT, 5), torch.randn(T, 0, INPUT))
    assert (none.steps, none.rows) == (0, 0) and all(map(math.isnan, none.exponents)) and len(none.exponents) == 10
