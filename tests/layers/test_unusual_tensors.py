"""Tensors that are not what they seem: seen through a view, changed later, without values, of indices."""

import pytest
import torch
from layers.comparison import EXACT, filled, normal
from oracles import relative
from torch._subclasses import FakeTensorMode
from torch.nn.utils.rnn import pack_padded_sequence

import throughtime as tt
from throughtime.errors import ArgumentError
from throughtime.kernels import native

LAYERS = {"RNN": tt.RNN, "LSTM": tt.LSTM, "GRU": tt.GRU}
each_layer = pytest.mark.parametrize("name", LAYERS)


def layer_of(name: str, features: int = 3, hidden: int = 4, dtype=torch.float64, **options):
    return filled(LAYERS[name](features, hidden, dtype=dtype, **options), seed=4)


@each_layer
def test_a_sign_that_stands_elsewhere_is_not_lost(name: str):
    """torch negates lazily: the imaginary part of a conjugate is a view with a mark."""
    layer = layer_of(name, features=1, hidden=1)
    x = torch.randn(5, 2, 1, dtype=torch.complex128).conj().imag
    assert x.is_neg()
    assert relative(layer(x)[0], layer(x.resolve_neg())[0]) <= EXACT
    weight = torch.randn(5, 2, 1, dtype=torch.complex128)
    gradients = []
    for one in (layer, layer.to_torch()):
        y = one(x.resolve_neg())[0]
        loss = (torch.complex(torch.zeros_like(y), y).conj() * weight).real.sum()
        gradients.append(torch.autograd.grad(loss, one.weight_hh_l0)[0])
    assert relative(*gradients) <= EXACT


@each_layer
def test_lengths_and_resets_changed_before_the_backward_pass_are_noticed(name: str):
    layer, x = layer_of(name), normal(1, 6, 2, 3)
    lengths, resets = torch.tensor([3, 5]), torch.zeros(6, 2, dtype=torch.bool)
    resets[2] = True
    for options, change in (
        ({"lengths": lengths}, lambda: lengths.fill_(6)),
        ({"resets": resets}, lambda: resets.zero_()),
    ):
        y = layer(x, **options)[0]
        change()
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.sum().backward()


@each_layer
def test_batch_sizes_changed_before_the_backward_pass_do_no_harm(name: str):
    """The kernel needs them again and says so; the loop has made lengths of them."""
    layer = layer_of(name)
    packed = pack_padded_sequence(normal(1, 6, 2, 3), torch.tensor([5, 3]))
    expected = torch.autograd.grad(layer(packed)[0].data.sum(), layer.weight_hh_l0)[0]
    y = layer(packed)[0].data
    packed.batch_sizes[3] = 2
    if native.library() is None:
        assert torch.equal(torch.autograd.grad(y.sum(), layer.weight_hh_l0)[0], expected)
        return
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@each_layer
def test_no_two_gradients_are_one_tensor(name: str):
    layer = layer_of(name)
    gradients = torch.autograd.grad(layer(normal(1, 6, 2, 3))[0].sum(), list(layer.parameters()))
    assert len({gradient.data_ptr() for gradient in gradients}) == len(gradients)


@each_layer
def test_shapes_without_values(name: str):
    with FakeTensorMode():
        assert LAYERS[name](3, 4)(torch.zeros(5, 2, 3))[0].shape == (5, 2, 4)
    meta = LAYERS[name](3, 4, device="meta")
    assert meta(torch.zeros(5, 2, dtype=torch.long, device="meta"))[0].shape == (5, 2, 4)


@each_layer
def test_indices_are_one_hot_vectors(name: str):
    layer = layer_of(name, num_layers=2, bidirectional=True)
    indices = torch.randint(0, 3, (6, 4), generator=torch.Generator().manual_seed(1))
    vectors = torch.nn.functional.one_hot(indices, 3).double()
    for dtype in (torch.uint8, torch.int16, torch.int32, torch.int64):
        assert relative(layer(indices.to(dtype))[0], layer(vectors)[0]) <= EXACT
    padded = indices.clone()
    padded[3:, 1], padded[2:, 3] = -100, 77  # what stands in the padding has no effect
    lengths = torch.tensor([6, 3, 5, 2])
    assert relative(layer(padded, lengths=lengths)[0], layer(vectors, lengths=lengths)[0]) <= EXACT
    per_sample = torch.func.vmap(lambda one: layer(one)[0])(torch.stack((indices, indices.flip(0))))
    assert relative(per_sample[1], layer(vectors.flip(0))[0]) <= EXACT
    batch_first = layer_of(name, num_layers=2, bidirectional=True, batch_first=True)
    assert relative(batch_first(indices.T)[0], layer(vectors)[0].transpose(0, 1)) <= EXACT
    assert relative(layer(indices[:, 0])[0], layer(vectors[:, 0])[0]) <= EXACT


@each_layer
def test_indices_that_are_none_are_refused(name: str):
    layer, like = layer_of(name), torch.zeros(2, 2, dtype=torch.long)
    for wrong in (-1, 3):
        with pytest.raises(ArgumentError, match=rf"input holds {wrong};.*must lie in 0 … 2 for input_size = 3"):
            layer(like + wrong)
    with pytest.raises(ArgumentError, match="input"):
        layer(like.to(torch.bool))


def test_a_compiled_loop_checks_what_it_could_not_see():
    layer = tt.GRU(3, 4, dtype=torch.bfloat16)  # which no kernel serves
    compiled = torch.compile(layer, backend="aot_eager")
    with pytest.raises(RuntimeError, match="whole numbers as inputs must lie in 0 … 2"):
        compiled(torch.tensor([[0], [7]]))
    with pytest.raises(RuntimeError, match="lengths must lie in 0 … 2"):
        compiled(torch.randn(2, 1, 3).bfloat16(), lengths=torch.tensor([9]))
