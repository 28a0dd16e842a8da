import pytest
import torch
from examples_of import CELLS, INPUT, parameters_of, states_of
from oracles import relative

from throughtime.cells import Recurrence
from throughtime.gradients import BPTT, run
from throughtime.sequences import Sequence
from throughtime.sequences.norms import row_norm

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


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_row_norm_neither_overflows_nor_underflows(dtype):
    large, small = torch.finfo(dtype).max / 4, torch.finfo(dtype).tiny
    rows = torch.tensor([[3.0, 4.0], [3.0 * large, 4.0 * large / 2], [3 * small, 4 * small], [0.0, 0.0]], dtype=dtype)
    norms = row_norm((rows[:, :1], rows[:, 1:]))
    expected = torch.tensor([5.0, 13**0.5 * large, 5 * small, 0.0], dtype=dtype)
    torch.testing.assert_close(norms, expected, rtol=1e-6, atol=0)
