"""No address reaches the library that was not compared: each tensor that does not fit is named in a sentence."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import throughtime as tt
from throughtime.kernels import native
from throughtime.kernels.addresses import Addresses

pytestmark = pytest.mark.skipif(native.library() is None, reason="the compiled kernels are not installed")

P = nn.Parameter


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return tt.LSTM(4, 8, num_layers=2)


X = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(2))

REPLACED = {
    "float64, of numpy": lambda w: P(torch.tensor(np.asarray(w.tolist()))),
    "half": lambda w: P(w.detach().half()),
    "bfloat16": lambda w: P(w.detach().bfloat16()),
    "on meta": lambda w: P(torch.empty_like(w, device="meta")),
    "narrower": lambda w: P(w.detach()[:, :3].contiguous()),
    "one axis more": lambda w: P(w.detach()[None].contiguous()),
    "sparse": lambda w: P(w.detach().to_sparse()),
}


@pytest.mark.parametrize("grads", [True, False])
@pytest.mark.parametrize("form", REPLACED)
@pytest.mark.parametrize("name", ["weight_ih_l1", "weight_hh_l0"])
def test_a_weight_that_does_not_fit_is_named(layer, name, form, grads):
    setattr(layer, name, REPLACED[form](getattr(layer, name)))
    with (
        torch.set_grad_enabled(grads),
        pytest.raises(tt.ArgumentError, match=f"^{name} is .* it must be torch.float32"),
    ):
        layer(X)


def test_a_bias_that_is_too_short_is_named_by_the_loop_too(layer):
    layer.bias_hh_l1 = P(torch.zeros(1))  # which would be broadcast
    for dtype in (torch.float32, torch.bfloat16):
        with pytest.raises(tt.ArgumentError, match=r"^bias_hh_l1 is torch\.\w+ \(1,\) on cpu; it must be"):
            copy.deepcopy(layer).to(dtype)(X.to(dtype))


@pytest.mark.parametrize("state", [torch.zeros(2, 8, dtype=torch.float64), torch.zeros(2, 3), torch.zeros(1, 8)])
def test_a_learned_state_that_does_not_fit_is_named(state):
    layer = tt.LSTM(4, 8, num_layers=2, learn_initial_state=True)
    layer.c_0 = P(state)
    with pytest.raises(tt.ArgumentError, match="^c_0 is .* it must be torch.float32"):
        layer(X)


def _freed(tensor):
    tensor.untyped_storage().resize_(0)


def _cut_short(tensor):
    tensor.untyped_storage().resize_(8)


def _narrower(tensor):
    tensor.data = tensor.data[:, :2].clone()


def _doubled(tensor):
    tensor.data = tensor.data.double()


@pytest.mark.parametrize("change", [_freed, _cut_short, _narrower, _doubled])
@pytest.mark.parametrize("what", ["input", "weight_hh", "outputs"])
def test_what_changes_between_the_passes_is_named(what, change):
    if what == "outputs" and change in (_narrower, _doubled):
        pytest.skip("autograd keeps the outputs' shape and dtype itself")
    layer, x = tt.GRU(4, 8), X.clone()
    y, _ = layer(x)
    loss = y.sum()  # torch itself would read the outputs for a square
    change({"input": x, "weight_hh": layer.weight_hh_l0, "outputs": y}[what])
    name = "h of the forward pass" if what == "outputs" else what
    with pytest.raises(tt.ArgumentError, match=f"^{name} (is|has a storage of)"):
        loss.backward()


class Wrapper(torch.Tensor):
    """Tensor without memory: whatever is done with it is done with `inner`."""

    @staticmethod
    def __new__(cls, inner):
        return torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype)

    def __init__(self, inner):
        self.inner = inner

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        opened, given = torch.utils._pytree.tree_map_only(cls, lambda w: w.inner, (args, kwargs or {}))
        return function(*opened, **given)


@pytest.mark.parametrize("what", ["input", "weight_hh_l0", "h", "c"])
def test_a_tensor_without_memory_takes_a_path_that_pytorch_sees(layer, what):
    right, states, x = layer(X)[0], {"h": torch.zeros(2, 3, 8), "c": torch.zeros(2, 3, 8)}, X
    if what == "input":
        x = Wrapper(X)
    elif what in states:
        states[what] = Wrapper(states[what])
    else:
        weight = getattr(layer, what).detach()
        delattr(layer, what)
        setattr(layer, what, Wrapper(weight))
    with torch.no_grad():
        found = layer(x, tuple(states.values()))[0]
    assert torch.allclose(found, right, atol=1e-6)


def test_a_cotangent_without_memory(layer):
    found, right = (
        torch.autograd.grad(y, layer.weight_hh_l0, cotangent)[0]
        for y in [layer(X)[0]]
        for cotangent in (Wrapper(torch.ones_like(y)), torch.ones_like(y))
        for y in [layer(X)[0]]
    )
    assert torch.allclose(found, right, atol=1e-6) and right.abs().max() > 0.1


def test_zeros_of_autograd_are_zeros(layer):
    zeros = torch._efficientzerotensor(2, 3, 8)
    assert torch.equal(layer(X, (zeros, zeros))[0], layer(X)[0])
    y, (h, _) = layer(X)
    arriving = (torch.ones_like(y), torch._efficientzerotensor(h.shape))
    assert torch.equal(
        torch.autograd.grad((y, h), layer.weight_hh_l0, arriving)[0],
        torch.autograd.grad(layer(X)[0].sum(), layer.weight_hh_l0)[0],
    )


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32])
@pytest.mark.parametrize("method", [tt.BPTT(), tt.CheckpointedBPTT(segments=3), tt.TruncatedBPTT(2)], ids=str)
def test_lengths_of_a_narrow_dtype_are_those_of_a_wide_one(method, dtype):
    results = []
    for lengths in (torch.tensor([44, 6]), torch.tensor([44, 6], dtype=dtype)):
        torch.manual_seed(1)
        layer = tt.GRU(3, 4, gradient=method)
        x = torch.randint(0, 3, (300, 2), dtype=torch.uint8)
        x[44:] = 200  # in the padding anything may stand
        y, h = layer(x, lengths=lengths)
        (y.square().sum() + h.sum()).backward()
        results.append((y.detach(), h.detach(), layer.weight_hh_l0.grad))
        assert not y[44:].any()
    assert all(map(torch.equal, *results))


def test_views_of_one_buffer_fit_where_their_part_of_it_is_there():
    buffer, addresses = torch.arange(12.0), Addresses(torch.float32)
    assert addresses.of("w", buffer[6:].view(2, 3), (2, 3)) == buffer.data_ptr() + 24
    assert addresses.of_steps("x", buffer.view(3, 2, 2).transpose(0, 1), (2, 3, 2)) == (buffer.data_ptr(), 2, 4)
    whole = torch.as_strided(buffer, (2, 2, 3), (6, 3, 1))
    buffer.untyped_storage().resize_(44)  # an element less
    for call in (addresses.of, addresses.of_steps):
        with pytest.raises(tt.ArgumentError, match="^w has a storage of 44 bytes, and 48 belong to it"):
            call("w", whole, (2, 2, 3))
