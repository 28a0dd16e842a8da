import gc
import weakref

import pytest
import torch
from examples_of import APPROXIMATIONS, METHODS

import throughtime as tt
from throughtime.cells import Recurrence
from throughtime.gradients import run
from throughtime.sequences import Sequence


def test_a_finished_graph_leaves_nothing_behind():
    rnn, x = tt.RNN(3, 5), torch.randn(6, 2, 3, requires_grad=True)
    y = rnn(2 * x)[0]
    alive = weakref.ref(y.grad_fn)
    y.sum().backward()
    del y
    gc.collect()
    assert alive() is None


def test_inputs_changed_in_place_before_the_backward_pass_are_noticed():
    rnn, x = tt.GRU(3, 5), torch.randn(6, 2, 3)
    y, _ = rnn(x)
    with torch.no_grad():
        rnn.weight_hh_l0.add_(1)
    try:
        y.sum().backward()
    except RuntimeError as error:
        assert "modified by an inplace operation" in str(error)
    else:
        raise AssertionError("a gradient at weights that no longer exist would have been wrong in silence")


def test_gradients_accumulate_over_two_calls():
    rnn = tt.LSTM(3, 5, dtype=torch.float64)
    first, second = torch.randn(4, 2, 3, dtype=torch.float64), torch.randn(6, 1, 3, dtype=torch.float64)
    rnn(first)[0].sum().backward()
    alone = rnn.weight_hh_l0.grad.clone()
    rnn(second)[0].sum().backward()
    rnn_gradient = rnn.weight_hh_l0.grad.clone()
    rnn.zero_grad()
    rnn(second)[0].sum().backward()
    torch.testing.assert_close(rnn_gradient, alone + rnn.weight_hh_l0.grad, rtol=1e-13, atol=0)


@pytest.mark.parametrize("method", [*METHODS.values(), *(one for one, _ in APPROXIMATIONS.values())], ids=repr)
def test_no_steps_at_all_pass_the_state_through(method):
    cell = tt.cells.ElmanCell(3, 5) if isinstance(method, tt.RFLO) else tt.cells.LSTMCell(3, 5)
    parameters = {name: value.requires_grad_() for name, value in cell.initial_parameters(dtype=torch.float64).items()}
    initial = tuple(torch.randn(2, 5, dtype=torch.float64, requires_grad=True) for _ in cell.state_sizes)
    h, final = run(
        method, Recurrence(cell, parameters, Sequence(torch.zeros(0, 2, 3, dtype=torch.float64), initial, initial))
    )
    assert h.shape == (0, 2, 5)
    weights = [torch.randn_like(member) for member in final]
    gradients = torch.autograd.grad(final, [*initial, *parameters.values()], weights)
    assert all(torch.equal(g, w) for g, w in zip(gradients, weights, strict=False))
    assert all(torch.count_nonzero(g) == 0 for g in gradients[len(initial) :])
