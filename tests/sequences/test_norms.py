import math

import pytest
import torch
from examples_of import CELLS, INPUT, parameters_of, states_of
from oracles import relative

from throughtime.cells import Recurrence
from throughtime.gradients import BPTT, run
from throughtime.sequences import LayerTap, Sequence, StepNorms

inf, nan = math.inf, math.nan
T, B, THRESHOLD = 6, 3, 0.9


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_clip_step_is_the_recursion_with_every_total_held_under_the_threshold(cell):
    """Written out with the cell's step_vjp, row by row: nothing of the method's own loop is used."""
    parameters = parameters_of(cell)
    x, initial = torch.randn(T, B, INPUT, dtype=torch.float64, requires_grad=True), states_of(cell, B)
    direct = 2 * torch.randn(T, B, next(iter(cell.state_sizes.values())), dtype=torch.float64)
    h, _ = run(BPTT(clip_step=THRESHOLD), Recurrence(cell, parameters, Sequence(x, initial, initial)))
    ours = torch.autograd.grad(h, [x, *initial, *parameters.values()], direct)

    with torch.no_grad():
        d_parameters = {name: torch.zeros_like(value) for name, value in parameters.items()}
        d_x, d_initial, held = torch.zeros_like(x), [torch.zeros_like(member) for member in initial], 0
        for row in range(B):
            states = [tuple(member[row : row + 1] for member in initial)]
            for t in range(T):
                states.append(cell.step(parameters, x[t, row : row + 1], states[-1]))
            total = tuple(torch.zeros_like(member) for member in states[0])
            for t in reversed(range(T)):
                total = (total[0] + direct[t, row], *total[1:])
                norm = torch.sqrt(sum((member**2).sum() for member in total))
                if norm > THRESHOLD:
                    total, held = tuple(member * THRESHOLD / norm for member in total), held + 1
                d_step, d_x_t, total = cell.step_vjp(parameters, x[t, row : row + 1], states[t], total)
                d_x[t, row] = d_x_t[0]
                for name in parameters:
                    d_parameters[name] += d_step[name]
            for member, share in zip(d_initial, total, strict=True):
                member[row] = share[0]
    assert 0 < held, "the threshold must take hold somewhere"
    for one, reference in zip(ours, [d_x, *d_initial, *d_parameters.values()], strict=True):
        assert relative(one, reference) <= 1e-13


def test_a_threshold_above_every_norm_changes_nothing_at_all():
    cell = CELLS["LSTM"]
    parameters, x, initial = parameters_of(cell), torch.randn(T, B, INPUT, dtype=torch.float64), states_of(cell, B)
    wanted = [*initial, *parameters.values()]
    exact, loose = (
        torch.autograd.grad(run(method, Recurrence(cell, parameters, Sequence(x, initial, initial)))[0].sum(), wanted)
        for method in (BPTT(), BPTT(clip_step=1e6))
    )
    assert all(torch.equal(a, b) for a, b in zip(exact, loose, strict=True))


def test_clipping_a_zero_gradient_stays_differentiable():
    cell = CELLS["GRU"]
    parameters, x, initial = parameters_of(cell), torch.randn(T, B, INPUT, dtype=torch.float64), states_of(cell, B)
    h, _ = run(BPTT(clip_step=1.0), Recurrence(cell, parameters, Sequence(x, initial, initial)))
    first = torch.autograd.grad(h[0].pow(2).sum(), list(parameters.values()), create_graph=True)
    second = torch.autograd.grad(sum(g.sum() for g in first), list(parameters.values()))
    assert all(bool(torch.isfinite(g).all()) for g in second)


@pytest.mark.parametrize("clip_step", [0.7, 49.0, 1e6])
def test_a_row_below_the_threshold_keeps_every_bit(clip_step):
    """49 · (1 / 49) is not 1."""
    rows = torch.rand(50, 3, dtype=torch.float64) / 3
    (held,) = StepNorms(clip_step).clip(0, (rows,), None)
    assert torch.equal(held, rows)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("clip_step", [1e-3, 1.0, 1e3])
def test_rows_near_the_largest_number_are_held_at_the_threshold(dtype, clip_step):
    most = torch.finfo(dtype).max
    h, c = torch.tensor([[most, -most], [most / 3, 0.0]], dtype=dtype), torch.full((2, 3), most / 5, dtype=dtype)
    held = torch.cat(StepNorms(clip_step).clip(0, (h, c), None), dim=-1)
    direction = torch.cat((h, c), dim=-1).double() / most
    expected = clip_step * direction / direction.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(held.double(), expected, rtol=8 * torch.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_rows_below_the_normal_numbers_are_held_to_the_last_bit_that_they_have(dtype):
    step = torch.finfo(dtype).tiny * torch.finfo(dtype).eps  # the smallest number
    rows = torch.tensor([[3000.0, -4000.0], [30.0, 40.0], [0.0, 0.0]], dtype=torch.float64)
    (held,) = StepNorms(500 * step).clip(0, ((rows * step).to(dtype),), None)
    torch.testing.assert_close(held.double() / step, rows / rows.new_tensor([[10.0], [1.0], [1.0]]), rtol=0, atol=1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_an_entry_that_is_not_finite_stays_what_it_is(dtype):
    rows = torch.tensor([[1.0, inf], [nan, 2.0], [-inf, nan], [3.0, 4.0]], dtype=dtype)
    tap = LayerTap(("h",))
    tap.begin(1, len(rows), rows)
    (held,) = StepNorms(1.0, tap).clip(0, (rows,), None)
    assert torch.equal(held[:3].nan_to_num(7.0, 8.0, 9.0), rows[:3].nan_to_num(7.0, 8.0, 9.0))
    assert tap.norms["h"][0].nan_to_num(7.0, 8.0).tolist() == [8.0, 7.0, 7.0, 5.0]
    assert tap.clipped is not None and tap.clipped.tolist() == [[False, False, False, True]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("size", ["max", "tiny"])
def test_norms_of_steps_whose_squares_leave_the_range_are_recorded(dtype, size):
    scale = getattr(torch.finfo(dtype), size) / (16 if size == "max" else 1)
    h, c = torch.tensor([[3.0, 4.0]], dtype=dtype) * scale, torch.tensor([[0.0, 12.0]], dtype=dtype) * scale
    step, every = LayerTap(("h", "c")), LayerTap(("h", "c"))
    step.begin(1, 1, h), every.begin(1, 1, h)
    StepNorms(12.9 * scale, step).clip(0, (h, c), None)
    StepNorms(tap=every).record_all((h[None], c[None]))
    every.record_all(list(every.norms.values()), 12.9 * scale)
    for tap in (step, every):
        torch.testing.assert_close(tap.norms["h"], torch.tensor([[5.0]], dtype=dtype) * scale, rtol=1e-6, atol=0)
        torch.testing.assert_close(tap.norms["c"], torch.tensor([[12.0]], dtype=dtype) * scale, rtol=1e-6, atol=0)
        assert tap.clipped is not None and tap.clipped.all()
