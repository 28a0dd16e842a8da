"""Tools that watch PyTorch's operators in eager mode see the recurrence: tracers, counters, batched backward passes."""

import warnings

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.flop_counter import FlopCounterMode

import throughtime as tt
from throughtime import cells
from throughtime.kernels import native
from throughtime.torch_internals import FakeTensor

T, B, INPUTS, H = 6, 3, 4, 5
LAYERS = {"RNN": (tt.RNN, nn.RNN), "GRU": (tt.GRU, nn.GRU), "LSTM": (tt.LSTM, nn.LSTM)}
METHODS = {
    "BPTT": tt.BPTT(),
    "states": tt.BPTT(save="states"),
    "checkpointed": tt.CheckpointedBPTT(segments=2),
    "DoubleSum": tt.DoubleSum(),
}
needs_kernels = pytest.mark.skipif(native.library() is None, reason="the compiled kernels are not installed")


@pytest.fixture(params=LAYERS)
def layer(request):
    torch.manual_seed(3)
    return LAYERS[request.param][0](INPUTS, H)


def _inputs(*shape, dtype=torch.float32):
    return torch.randn(*(shape or (T, B, INPUTS)), dtype=dtype, generator=torch.Generator().manual_seed(len(shape) + 7))


class Net(nn.Module):
    def __init__(self, rnn):
        super().__init__()
        self.rnn, self.out = rnn, nn.Linear(H, 2)

    def forward(self, x):
        return self.out(self.rnn(x)[0])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("grads", [True, False])
def test_a_jit_trace_holds_the_recurrence(layer, method, grads, tmp_path):
    layer.gradient = METHODS[method]
    net = Net(layer).eval()
    with torch.set_grad_enabled(grads), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch.jit: it is deprecated, and loops over time are unrolled
        traced = torch.jit.trace(net, _inputs())  # which traces again and compares
        traced.save(tmp_path / "net.pt")
        loaded = torch.jit.load(tmp_path / "net.pt")
    other = _inputs().flip(0)
    for one in (traced, loaded):
        assert torch.allclose(one(other), net(other), atol=1e-6)
    if grads:
        right = torch.autograd.grad(net(other).square().sum(), net.rnn.weight_hh_l0)[0]
        parameters = dict(loaded.named_parameters())
        found = torch.autograd.grad(loaded(other).square().sum(), parameters["rnn.weight_hh_l0"])[0]
        assert torch.allclose(found, right, atol=1e-5) and right.abs().max() > 0.1


def test_a_trace_refuses_a_gradient_that_it_could_not_keep(layer):
    layer.gradient = tt.TruncatedBPTT(horizon=2)
    with warnings.catch_warnings(), pytest.raises(tt.UnsupportedError, match="is not the exact gradient"):
        warnings.simplefilter("ignore")
        torch.jit.trace(layer, _inputs())


def test_a_trace_of_lengths_serves_other_lengths(layer):
    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = layer

        def forward(self, x, lengths):
            return self.rnn(x, lengths=lengths)[0]

    run = Masked()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(run, (_inputs(), torch.tensor([T, T, T])), check_trace=False)
        for lengths in (torch.tensor([2, T, 0]), torch.tensor([T, T, T])):
            assert torch.equal(traced(_inputs(), lengths), run(_inputs(), lengths))


@pytest.mark.parametrize("pre_dispatch", [False, True])
def test_make_fx_records_the_recurrence(layer, pre_dispatch):
    with torch.no_grad():
        graph = make_fx(layer, pre_dispatch=pre_dispatch)(_inputs())
    other = _inputs().flip(1)
    assert torch.allclose(graph(other)[0], layer(other)[0], atol=1e-6)


def test_make_fx_records_the_backward_pass(layer):
    weights = {name: value.detach() for name, value in layer.named_parameters()}

    def gradient(weights, x):
        leaves = {name: value.requires_grad_() for name, value in weights.items()}
        loss = functional_call(layer, leaves, (x,))[0].square().sum()
        return torch.autograd.grad(loss, list(leaves.values()))

    graph = make_fx(gradient)(weights, _inputs())
    other = {name: 0.5 * value for name, value in weights.items()}
    for one, right in zip(graph(other, _inputs()), gradient(other, _inputs()), strict=True):
        assert torch.allclose(one, right, atol=1e-6)


@needs_kernels
@pytest.mark.parametrize("method", [*METHODS.values(), tt.TruncatedBPTT(horizon=2)], ids=str)
def test_flops_are_counted_in_eager_mode(layer, method):
    twin = layer.to_torch()
    layer.gradient = method
    counts = []
    for one in (layer, twin):
        counter = FlopCounterMode(display=False)
        with counter:
            one(_inputs())[0].sum().backward()
        counts.append(counter.get_total_flops())
    ours, torchs = counts
    if isinstance(layer, tt.LSTM):  # torch's own LSTM on a CPU in float32 is an operator without a formula
        torchs = 0
    assert ours >= torchs and ours >= 3 * 2 * T * B * layer.weight_hh_l0.numel()


def test_a_tap_records_its_norms_under_a_counter(layer):
    norms = []
    for watched in (False, True):
        with tt.tap(layer) as tap:
            y, _ = layer(_inputs())
            with FlopCounterMode(display=False) if watched else torch.enable_grad():
                y.square().sum().backward()
        norms.append(tap.layers["l0"].norms["h"])
    assert torch.allclose(*norms) and norms[0].max() > 0


def test_fake_tensors_get_shapes(layer):
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fake = type(layer)(INPUTS, H)
        y, _ = fake(mode.from_tensor(_inputs()), lengths=mode.from_tensor(torch.tensor([T, 2, 0])))
        y.sum().backward()
    assert isinstance(y, FakeTensor) and y.shape == (T, B, H)
    assert fake.weight_hh_l0.grad.shape == fake.weight_hh_l0.shape


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("method", METHODS)
def test_a_batched_backward_pass_is_one_after_the_other(name, method):
    ours, torchs = (make(INPUTS, H, dtype=torch.float64) for make in LAYERS[name])
    torchs.load_state_dict(ours.state_dict())
    ours.gradient = METHODS[method]
    x = _inputs(3, 2, INPUTS, dtype=torch.float64).requires_grad_()
    found = []
    for layer in (ours, torchs):
        y = layer(x)[0]
        every = torch.eye(y.numel(), dtype=torch.float64).view(-1, *y.shape)
        wanted = (x, *layer.parameters())
        found.append(torch.autograd.grad(y, wanted, every, is_grads_batched=True))
    for one, right in zip(*found, strict=True):
        assert torch.allclose(one, right, atol=1e-12)
    rows = torch.autograd.functional.jacobian(lambda x: ours(x)[0], x.detach(), vectorize=True)
    assert torch.allclose(rows.reshape(found[0][0].shape), found[1][0], atol=1e-12)


def test_a_batched_backward_pass_of_another_gradient_is_refused(layer):
    layer.gradient = tt.TruncatedBPTT(horizon=2)
    y = layer(_inputs())[0]
    with pytest.raises(tt.UnsupportedError, match="is not the exact gradient"):
        torch.autograd.grad(y, layer.weight_hh_l0, torch.stack([y, y]), is_grads_batched=True)


@pytest.mark.parametrize("mask", ["lengths", "resets"])
@pytest.mark.parametrize("name", LAYERS)
def test_samples_may_have_masks_of_their_own_under_vmap(name, mask):
    layer = LAYERS[name][0](INPUTS, H, dtype=torch.float64)
    weights = {key: value.detach() for key, value in layer.named_parameters()}
    masks = {
        "lengths": torch.tensor([[T], [3], [0], [1]]),
        "resets": torch.rand(4, T, 1, generator=torch.Generator().manual_seed(1)) < 0.4,
    }[mask]
    x = _inputs(4, T, 1, INPUTS, dtype=torch.float64)
    of_one = grad(lambda w, x, m: functional_call(layer, w, (x,), {mask: m})[0].square().sum())
    found = vmap(of_one, in_dims=(None, 0, 0))(weights, x, masks)
    for index in range(4):
        for key, right in of_one(weights, x[index], masks[index]).items():
            assert torch.allclose(found[key][index], right, atol=1e-12)


@pytest.mark.parametrize("name", LAYERS)
def test_compile_around_a_transform(name):
    layer = LAYERS[name][0](INPUTS, H, dtype=torch.float64)
    gradient = torch.func.grad(lambda x: layer(x)[0].square().sum())
    x = _inputs(dtype=torch.float64)
    torch.compiler.reset()
    assert torch.allclose(torch.compile(gradient, backend="aot_eager")(x), gradient(x), atol=1e-12)


@pytest.mark.parametrize("name", LAYERS)
def test_complex_numbers_are_torchs(name):
    torch.manual_seed(5)
    theirs = LAYERS[name][1](INPUTS, H, dtype=torch.complex128)
    ours = tt.Recurrent(_complex_cell(name), dtype=torch.complex128)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(
        T, INPUTS, INPUTS, dtype=torch.complex128
    )  # a batch as large as the inputs, which might pass for indices
    results = []
    for layer in (ours, theirs):
        y = layer(x)[0]
        (y * y.conj()).real.sum().backward()
        results.append([y.detach(), *(value.grad for value in layer.parameters())])
    for one, right in zip(*results, strict=True):
        assert torch.allclose(one, right, atol=1e-12)


def _complex_cell(name):
    return {"RNN": cells.ElmanCell, "GRU": cells.GRUCell, "LSTM": cells.LSTMCell}[name](INPUTS, H)


class Like:
    """Object that behaves as a tensor in torch's functions and is none."""

    def __init__(self, tensor):
        self.__dict__["tensor"] = tensor

    def __getattr__(self, name):
        return getattr(self.tensor, name)

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        def opened(value):
            if isinstance(value, tuple | list):
                return type(value)(opened(entry) for entry in value)
            return value.tensor if isinstance(value, cls) else value

        return function(*opened(args), **{key: opened(value) for key, value in (kwargs or {}).items()})


def test_objects_that_behave_as_tensors_are_taken(layer):
    x = _inputs()
    assert torch.allclose(layer(Like(x))[0], layer(x)[0], atol=1e-6)
