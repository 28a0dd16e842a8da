import gc
import weakref

import pytest
import torch
from examples_of import APPROXIMATIONS, METHODS
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import throughtime as tt
from throughtime.cells import Recurrence
from throughtime.gradients import run
from throughtime.kernels import native
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


READERS = {
    "a loop": (torch.bfloat16, tt.BPTT()),
    "a method over a kernel": (torch.float32, tt.TruncatedBPTT(horizon=2)),
    "a method in PyTorch's operations": (torch.float32, tt.RTRL()),
}
"""What reads tensors itself, where no kernel checks their memory first."""


def cut_short(tensor: torch.Tensor) -> None:
    tensor.untyped_storage().resize_(8)


def layer_and_arguments(reader: str):
    dtype, method = READERS[reader]
    x, h = torch.randn(6, 2, 3, dtype=dtype), torch.zeros(1, 2, 5, dtype=dtype)
    return tt.GRU(3, 5, dtype=dtype, gradient=method), x, h, torch.zeros(6, 2, dtype=torch.bool)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("what", ["input", "weight_hh_l0", "resets"])
def test_memory_that_is_missing_is_named_before_anything_reads_it(what: str, reader: str):
    layer, x, h, resets = layer_and_arguments(reader)
    cut_short({"input": x, "weight_hh_l0": layer.weight_hh_l0, "resets": resets}[what])
    with pytest.raises(tt.ArgumentError, match=f"^{what} has a storage of 8 bytes"):
        layer(x, h, resets=resets)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("what", ["input", "initial_h", "weight_hh", "resets"])
def test_memory_that_went_between_the_passes_is_named(what: str, reader: str):
    layer, x, h, resets = layer_and_arguments(reader)
    y, _ = layer(x, h, resets=resets)
    cut_short({"input": x, "initial_h": h, "weight_hh": layer.weight_hh_l0, "resets": resets}[what])
    with pytest.raises(tt.ArgumentError, match=f"^{what} has a storage of 8 bytes"):
        y.sum().backward()


@pytest.mark.parametrize("reader", READERS)
def test_the_memory_of_an_arriving_gradient_is_checked_too(reader: str):
    layer, x, h, _ = layer_and_arguments(reader)
    y, _ = layer(x, h)
    arriving = torch.ones_like(y)
    cut_short(arriving)
    with pytest.raises(tt.ArgumentError, match="^∂L/∂outputs or ∂L/∂final has a storage of 8 bytes"):
        y.backward(arriving)


@pytest.mark.skipif(native.library() is None, reason="the loop keeps no outputs")
def test_the_memory_of_the_outputs_that_were_kept_is_checked_too():
    layer, x, h, _ = layer_and_arguments("a method over a kernel")
    y, final = layer(x, h)
    cut_short(y)
    with pytest.raises(tt.ArgumentError, match="^the trace has a storage of 8 bytes"):
        final.sum().backward()


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("change", [lambda t: t[:-2].clone(), lambda t: t.double()], ids=["shorter", "of float64"])
def test_other_data_of_another_form_between_the_passes_is_named(change, reader: str):
    layer, x, h, _ = layer_and_arguments(reader)
    y, _ = layer(x, h)
    x.data = change(x.data)
    with pytest.raises(tt.ArgumentError, match=r"^input is .*; it must be .* \(6, 2, 3\) on cpu"):
        y.sum().backward()


@pytest.mark.parametrize("features", [1, 2])
def test_packed_inputs_that_the_loop_pads_may_be_other_data_in_the_backward_pass(features: int):
    """Nothing of them is read there. With one feature a gradient of no features fits, as zeros."""
    layer, steps = tt.GRU(features, 5, dtype=torch.bfloat16), torch.randn(6, 2, features, dtype=torch.bfloat16)
    x, batch_sizes, *order = pack_padded_sequence(steps, [3, 6], enforce_sorted=False)
    gradients = []
    for change in (lambda t: t, lambda t: t[:, :-1].clone()):
        leaf = x.clone().requires_grad_()
        y, _ = layer(PackedSequence(leaf, batch_sizes, *order))
        leaf.data = change(leaf.data)
        gradients += torch.autograd.grad(y.data.sum(), leaf)
    assert torch.equal(*gradients) and gradients[0].shape == (9, features) and gradients[0].any()


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
