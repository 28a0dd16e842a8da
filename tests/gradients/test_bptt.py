import pytest
import torch
from examples_of import CELLS, INPUT, parameters_of, states_of
from oracles import central_differences, complex_step, elman_double_sum, relative
from torch.utils._python_dispatch import TorchDispatchMode

import throughtime as tt
from throughtime.cells import Cell, ElmanCell, Loop, Recurrence
from throughtime.errors import ArgumentError
from throughtime.gradients import BPTT, run
from throughtime.kernels import Kernel
from throughtime.sequences import Sequence

T, B = 6, 2


def _elman():
    cell = ElmanCell(INPUT, 4)
    x = torch.randn(T, 1, INPUT, dtype=torch.float64)
    return cell, parameters_of(cell), x, (torch.randn(1, 4, dtype=torch.float64),)


def _state_sequence(cell, parameters, x, initial):
    h, _ = run(BPTT(), Recurrence(cell, parameters, Sequence(x, initial, initial)))
    return h


def test_weight_gradients_are_the_notes_double_sum():
    cell, parameters, x, initial = _elman()
    direct = torch.randn(T, 1, 4, dtype=torch.float64)
    h = _state_sequence(cell, parameters, x, initial)
    ours = torch.autograd.grad(h, list(parameters.values()), direct)
    states = torch.cat((initial[0][None], h.detach()))[:, 0].numpy()
    d_w_hh, d_w_ih, d_b = elman_double_sum(
        parameters["weight_hh"].detach().numpy(), states, x[:, 0].numpy(), direct[:, 0].numpy()
    )
    expected = {"weight_ih": d_w_ih, "weight_hh": d_w_hh, "bias_ih": d_b, "bias_hh": d_b}
    for name, gradient in zip(parameters, ours, strict=True):
        assert relative(gradient, torch.from_numpy(expected[name])) <= 1e-13


@pytest.mark.parametrize("name", ["weight_ih", "weight_hh", "bias_ih", "bias_hh"])
def test_weight_gradients_are_those_of_differences_and_of_the_complex_step(name):
    cell, parameters, x, initial = _elman()
    direct = torch.randn(T, 1, 4, dtype=torch.float64)

    def loss(value):
        """In plain indexing and without the cell, so that complex numbers pass."""
        p = {key: (value if key == name else other.detach()).to(value.dtype) for key, other in parameters.items()}
        h, total = initial[0][0].to(value.dtype), torch.zeros((), dtype=value.dtype)
        for t in range(T):
            h = torch.tanh(p["weight_ih"] @ x[t, 0].to(value.dtype) + p["bias_ih"] + p["weight_hh"] @ h + p["bias_hh"])
            total = total + (direct[t, 0] * h).sum()
        return total

    (ours,) = torch.autograd.grad(_state_sequence(cell, parameters, x, initial), parameters[name], direct)
    value = parameters[name].detach()
    assert relative(ours, central_differences(loss, value)) <= 1e-9
    assert relative(ours, complex_step(loss, value)) <= 1e-13


class _CountProducts(TorchDispatchMode):
    """How many matrix products write a result of each shape."""

    def __init__(self):
        super().__init__()
        self.shapes = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if function.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm):
            self.shapes.append(tuple(result.shape))
        return result


def _products_of_the_backward_pass(cell, steps: int) -> list[tuple[int, ...]]:
    parameters, x = parameters_of(cell), torch.randn(steps, B, INPUT, dtype=torch.float64)
    h, _ = run(BPTT(), Recurrence(cell, parameters, Sequence(x, states_of(cell, B), states_of(cell, B))))
    with _CountProducts() as count:
        h.sum().backward()
    return count.shapes


@pytest.mark.parametrize("kind", ["LSTM", "function"])
def test_the_weight_gradient_is_not_a_product_per_step(kind):
    """One over all T·B rows, or one for the first step and one for the others; never as many as there are steps."""
    cell = CELLS[kind]
    weights = {tuple(value.shape) for value in parameters_of(cell).values() if value.dim() == 2}
    few, many = (sum(shape in weights for shape in _products_of_the_backward_pass(cell, steps)) for steps in (T, 5 * T))
    assert few == many <= 4


def test_an_input_without_gradient_costs_no_product():
    assert (T * B, INPUT) not in _products_of_the_backward_pass(CELLS["LSTM"], T)


class _Counting(Kernel):
    """The loop, with a count of its calls: what a fused kernel is to a cell."""

    def __init__(self, serves: bool):
        self._serves, self.calls, self._loop = serves, [], Loop(ElmanCell(INPUT, 4))

    def serves(self, parameters, sequence):
        self.calls.append("serves")
        return self._serves

    def forward(self, *arguments):
        self.calls.append("forward")
        return self._loop.forward(*arguments)

    def backward(self, *arguments):
        self.calls.append("backward")
        return self._loop.backward(*arguments)

    def entering(self, *arguments):
        return self._loop.entering(*arguments)


def _cell_with(kernel_of_the_class: Kernel) -> Cell:
    class Fused(ElmanCell):
        kernel = kernel_of_the_class

    return Fused(INPUT, 4)


def test_a_cell_opts_into_a_kernel_with_one_line():
    kernel = _Counting(serves=True)
    tt.Recurrent(_cell_with(kernel))(torch.randn(T, B, INPUT))[0].sum().backward()
    assert kernel.calls == ["serves", "forward", "backward"], "a runner is chosen once"


def test_a_kernel_that_does_not_serve_is_passed_over():
    kernel = _Counting(serves=False)
    tt.Recurrent(_cell_with(kernel))(torch.randn(T, B, INPUT))[0].sum().backward()
    assert kernel.calls == ["serves"]


def test_under_create_graph_the_loop_takes_over_from_the_kernel():
    kernel = _Counting(serves=True)
    rnn = tt.Recurrent(_cell_with(kernel), dtype=torch.float64)
    x = torch.randn(T, B, INPUT, dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(rnn(x)[0].sum(), x, create_graph=True)
    first.sum().backward()
    assert kernel.calls == ["serves", "forward"]


def test_without_gradients_nothing_is_kept():
    cell = CELLS["LSTM"]
    parameters = {name: value.detach() for name, value in parameters_of(cell).items()}
    states = tuple(state.detach() for state in states_of(cell, B))
    x = torch.randn(T, B, INPUT, dtype=torch.float64)
    with torch.no_grad():  # as `run` calls it
        result = BPTT().forward(Recurrence(cell, parameters, Sequence(x, states, states)), keep=False)
    assert result.trace.tensors == () and result.trace.save is None
    assert run(BPTT(), Recurrence(cell, parameters, Sequence(x, states, states)))[0].grad_fn is None
    assert torch.equal(run(BPTT(), Recurrence(cell, parameters, Sequence(x, states, states)))[0], result.outputs)


@pytest.mark.parametrize("clip_step", [0, -1.0, float("nan"), float("inf")])
def test_a_threshold_that_is_no_norm_is_refused(clip_step):
    with pytest.raises(ArgumentError, match="clip_step is"):
        BPTT(clip_step=clip_step)
