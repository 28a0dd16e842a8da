import pytest
import torch
from examples_of import CELLS, INPUT, parameters_of, states_of
from oracles import relative

from throughtime.cells import Recurrence
from throughtime.errors import ArgumentError
from throughtime.gradients import BPTT, DoubleSum, run
from throughtime.sequences import Cotangents, Sequence, StepNorms

T, B = 6, 3


def _gradients(method, cell, parameters, sequence, weights):
    h, final = run(method, Recurrence(cell, parameters, sequence))
    loss = sum((w * one).sum() for w, one in zip(weights, (h, *final), strict=True))
    return torch.autograd.grad(loss, [sequence.x, *sequence.initial, *sequence.reset_state, *parameters.values()])


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_clipped_paths_sum_to_the_clipped_recursion(cell):
    """Clipping at a step scales every path through it: two algorithms, one result."""
    parameters = parameters_of(cell)
    x = torch.randn(T, B, INPUT, dtype=torch.float64, requires_grad=True)
    resets = torch.zeros(T, B, dtype=torch.bool)
    resets[3, 1] = True
    sequence = Sequence(x, states_of(cell, B), states_of(cell, B), torch.tensor([6, 6, 4]), resets)
    h, final = run(BPTT(), Recurrence(cell, parameters, sequence))
    weights = [torch.randn_like(one) for one in (h, *final)]
    exact = _gradients(BPTT(), cell, parameters, sequence, weights)
    clipped = _gradients(BPTT(clip_step=1.1), cell, parameters, sequence, weights)
    paths = _gradients(DoubleSum(clip_step=1.1), cell, parameters, sequence, weights)
    for ours, reference in zip(paths, clipped, strict=True):
        assert relative(ours, reference) <= 1e-13
    assert relative(clipped[0], exact[0]) > 0.1, "the threshold must take hold, or nothing was compared"


def test_the_forward_order_refuses_to_clip_what_it_never_forms():
    with pytest.raises(ArgumentError, match="clip_step is 1.0 with order='forward'.*use order='backward'"):
        DoubleSum(clip_step=1.0, order="forward")


def test_an_unknown_order_is_refused():
    with pytest.raises(ArgumentError, match="order is 'sideways'"):
        DoubleSum(order="sideways")  # type: ignore[arg-type]


@pytest.mark.parametrize("order", ["backward", "forward"])
def test_without_resets_the_reset_state_has_no_gradient(order):
    cell = CELLS["LSTM"]
    parameters, initial = parameters_of(cell), states_of(cell, B)
    x = torch.randn(T, B, INPUT, dtype=torch.float64)
    recurrence, method = Recurrence(cell, parameters, Sequence(x, initial, initial)), DoubleSum(order=order)
    with torch.no_grad():
        result = method.forward(recurrence, keep=True)
        cotangents = Cotangents(torch.ones_like(result.outputs), initial)
        assert method.backward(recurrence, result.trace, cotangents, StepNorms()).reset_state is None
