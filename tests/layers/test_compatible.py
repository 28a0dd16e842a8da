"""The names of torch.nn's layers that user code and torch's own tools read."""

import warnings

import pytest
import torch
from layers.comparison import EXACT, assert_equal, assert_near, call, evaluate, filled, normal
from layers.models import INPUT, MODELS, hx_of, model
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune
from torch.nn.utils.rnn import pack_padded_sequence

import throughtime as tt
from throughtime.errors import ArgumentError, UnsupportedError

T, B, HIDDEN = 7, 5, 5
TWINS = {
    "RNN": lambda library, **options: library.RNN(INPUT, HIDDEN, 2, nonlinearity="relu", bias=False, **options),
    "LSTM": lambda library, **options: library.LSTM(INPUT, HIDDEN, 2, proj_size=2, bidirectional=True, **options),
    "GRU": lambda library, **options: library.GRU(INPUT, HIDDEN, batch_first=True, **options),
}


def pair(name: str, **options) -> tuple[nn.RNNBase, nn.Module]:
    """The layer of torch.nn and ours with the same weights, in float64."""
    theirs = filled(TWINS[name](nn, dtype=torch.float64, **options), seed=3)
    return theirs, getattr(tt, name).from_torch(theirs)


@pytest.mark.parametrize("name", TWINS)
def test_the_attributes_of_torch(name: str):
    theirs, ours = pair(name)
    for attribute in ("mode", "_all_weights", "_flat_weights_names", "num_layers", "proj_size", "batch_first"):
        assert getattr(ours, attribute) == getattr(theirs, attribute), attribute
    for mine, wanted in zip(ours._flat_weights, theirs._flat_weights, strict=True):
        assert torch.equal(mine, wanted)
    assert [len(weights) for weights in ours.all_weights] == [len(weights) for weights in theirs.all_weights]
    for attribute in ("input_size", "hidden_size", "bias", "dropout", "bidirectional"):
        assert getattr(ours, attribute) == getattr(theirs, attribute), attribute


def test_the_mode_names_the_nonlinearity():
    for nonlinearity in ("tanh", "relu"):
        theirs, ours = (library.RNN(3, 5, nonlinearity=nonlinearity) for library in (nn, tt))
        assert ours.mode == theirs.mode
    assert tt.RNN(3, 5, nonlinearity="identity").mode == "RNN_IDENTITY"


@pytest.mark.parametrize("name", MODELS)
def test_flat_weights_are_the_parameters_that_act(name: str):
    module = model(name, learn_initial_state=True)
    held = [module.get_parameter(name) for name in module._flat_weights_names]
    assert all(a is b for a, b in zip(module._flat_weights, held, strict=True))
    module.double()._flat_weights = [getattr(module, name) for name in module._flat_weights_names]
    del module._parameters[module._flat_weights_names[1]]
    assert module._flat_weights[1] is None and len(module._flat_weights) == len(held)


def test_a_write_to_flat_weights_is_refused_with_the_way_out():
    module = model("GRU")
    others = [weight.clone() for weight in module._flat_weights]
    with pytest.raises(
        ArgumentError, match=r"_flat_weights has another tensor for weight_ih_l0; .*: set layer\.weight"
    ):
        module._flat_weights = others
    with pytest.raises(ArgumentError, match="_flat_weights has 3 tensors; the layer has 16 weights"):
        module._flat_weights = others[:3]
    with pytest.raises(TypeError):
        module._flat_weights[0] = others[0]


def _sizes(name: str, theirs: nn.RNNBase) -> tuple[torch.Tensor, torch.Tensor | tuple[torch.Tensor, ...]]:
    x = normal(1, *((B, T) if theirs.batch_first else (T, B)), INPUT)
    count = theirs.num_layers * (1 + theirs.bidirectional)
    h = normal(2, count, B, theirs.proj_size or HIDDEN)
    return x, (h, normal(3, count, B, HIDDEN)) if name == "LSTM" else h


@pytest.mark.parametrize("name", TWINS)
def test_the_checks_of_torch_pass_and_refuse_the_same(name: str):
    theirs, ours = pair(name)
    x, hx = _sizes(name, theirs)
    packed = pack_padded_sequence(x, [7, 5, 4, 1, 1], batch_first=theirs.batch_first)
    wrong = tuple(member[:, 1:] for member in hx) if isinstance(hx, tuple) else hx[:, 1:]
    for layer in (theirs, ours):
        layer.check_forward_args(x, hx, None)
        layer.check_forward_args(packed.data, hx, packed.batch_sizes)
        layer.check_input(x, None)
        for refused in (
            lambda layer=layer: layer.check_input(x[..., 1:], None),
            lambda layer=layer: layer.check_input(x[None], None),
            lambda layer=layer: layer.check_forward_args(x, wrong, None),
            lambda layer=layer: layer.check_hidden_size(x, (1, 2, 3)),
        ):
            with pytest.raises(RuntimeError):
                refused()
        with pytest.raises(ValueError, match="float32"):
            layer.check_input(x.float(), None)


@pytest.mark.parametrize("name", TWINS)
def test_expected_sizes_and_permuted_states(name: str):
    theirs, ours = pair(name)
    x, hx = _sizes(name, theirs)
    batch_sizes, order = torch.tensor([4, 2, 1]), torch.tensor([3, 0, 4, 1, 2])
    for method in ("get_expected_hidden_size", *(["get_expected_cell_size"] if name == "LSTM" else [])):
        assert getattr(ours, method)(x, None) == getattr(theirs, method)(x, None)
        assert getattr(ours, method)(x, batch_sizes) == getattr(theirs, method)(x, batch_sizes)
    actual, expected = ours.permute_hidden(hx, order), theirs.permute_hidden(hx, order)
    assert type(actual) is type(expected)
    torch.testing.assert_close(actual, expected, rtol=0, atol=0)
    assert ours.permute_hidden(hx, None) is hx


def test_the_message_of_a_wrong_hidden_size_may_come_from_the_caller():
    with pytest.raises(ArgumentError, match=r"hx does not fit; c should be \(1, 2\), not \[3, 4\]"):
        tt.GRU(3, 5).check_hidden_size(torch.ones(3, 4), (1, 2), "c should be {}, not {}")


@pytest.mark.parametrize("name", TWINS)
def test_pruning_acts_and_can_be_made_permanent(name: str):
    theirs, ours = pair(name)
    for layer in (theirs, ours):
        prune.l1_unstructured(layer, "weight_hh_l0", amount=0.5)
    x, hx = _sizes(name, theirs)
    hx = hx if isinstance(hx, tuple) else (hx,)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert_near(evaluate(ours, x, hx), evaluate(theirs, x, hx), EXACT)
    zeros = int((ours.weight_hh_l0 == 0).sum())
    assert zeros == round(0.5 * ours.weight_hh_l0.numel())
    prune.remove(ours, "weight_hh_l0")
    assert ours._flat_weights[1] is ours.weight_hh_l0 and isinstance(ours.weight_hh_l0, nn.Parameter)
    assert (ours.weight_hh_l0 == 0).sum() == zeros


def test_tied_weights_stay_tied():
    theirs, ours = pair("RNN")
    for layer in (theirs, ours):
        layer.weight_hh_l1 = layer.weight_hh_l0
    x, hx = _sizes("RNN", theirs)
    assert ours.all_weights[1][1] is ours.weight_hh_l0
    assert_near(evaluate(ours, x, (hx,)), evaluate(theirs, x, (hx,)), EXACT)
    assert len(list(ours.double().parameters())) == 3


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
@pytest.mark.parametrize("make", [parametrizations.weight_norm, nn.utils.weight_norm], ids=["parametrized", "hook"])
@pytest.mark.parametrize("name", TWINS)
def test_weight_norm_acts(name: str, make):
    theirs, ours = (make(layer, "weight_hh_l0") for layer in pair(name))
    x, hx = _sizes(name, theirs)
    hx = hx if isinstance(hx, tuple) else (hx,)
    assert_near(evaluate(ours, x, hx), evaluate(theirs, x, hx), EXACT)


CHANGES = {
    "weight_norm": lambda layer: parametrizations.weight_norm(layer, "weight_hh_l0"),
    "orthogonal": lambda layer: parametrizations.orthogonal(layer, "weight_hh_l0"),
    "pruned": lambda layer: prune.l1_unstructured(layer, "weight_hh_l0", amount=0.5),
    "plain": lambda layer: layer,
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", ["RNN", "GRU"])
def test_reset_parameters_draws_what_torch_draws(name: str, change: str):
    """Of a weight that is made of other parameters, those: uniform, within torch's bounds."""
    theirs, ours = pair(name)
    for layer in (theirs, ours):
        CHANGES[change](layer)
    before = {key: value.clone() for key, value in ours.named_parameters()}
    assert list(before) == [key for key, _ in theirs.named_parameters()]
    ours.reset_parameters()
    for key, value in ours.named_parameters():
        assert not torch.equal(value, before[key]), key
        assert value.abs().max() <= HIDDEN**-0.5 and value.abs().max() > 0.5 * HIDDEN**-0.5
    if change == "plain":
        torch.manual_seed(5)
        theirs.reset_parameters()
        torch.manual_seed(5)
        ours.reset_parameters()
        assert_equal(dict(ours.named_parameters()), dict(theirs.named_parameters()))


def test_reset_parameters_leaves_plain_attributes_and_zeroes_a_learned_state():
    layer = filled(tt.LSTM(3, 5, learn_initial_state=True), seed=2)
    weight = layer.weight_hh_l0.detach().clone()
    del layer.weight_hh_l0
    layer.weight_hh_l0 = weight
    values = weight.clone()
    layer.reset_parameters()
    assert torch.equal(layer.weight_hh_l0, values)
    assert not layer.h_0.any() and not layer.c_0.any()


def test_a_function_cell_cannot_draw_what_its_weights_are_made_of():
    layer = parametrize.register_parametrization(model("function"), "forth_l0", nn.Tanh())
    before = {key: value.clone() for key, value in layer.named_parameters()}
    with pytest.raises(UnsupportedError, match=r"cannot draw parametrizations\.forth_l0\.original.*take the param"):
        layer.reset_parameters()
    assert_equal(dict(layer.named_parameters()), before)


@pytest.mark.parametrize("name", MODELS)
def test_torchscript_is_refused_by_a_sentence(name: str):
    layer = model(name)
    way_out = "torch.compile or torch.export" + ("" if name == "function" else ", or put the layer's to_torch()")
    for module in (layer, nn.Sequential(nn.Identity(), layer)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            with pytest.raises(UnsupportedError, match=f"torch.jit.script cannot compile .*: use {way_out}"):
                torch.jit.script(module)
    call(layer, normal(1, T, B, INPUT), hx_of(layer, B))


class Around(nn.Module):
    """A model; torch.jit.script takes torch.nn's layers only inside of one."""

    def __init__(self, rnn: nn.LSTM):
        super().__init__()
        self.rnn = rnn

    def forward(self, x: torch.Tensor):
        return self.rnn(x)


def test_what_torchscript_is_told_to_take_works():
    layer = tt.LSTM(3, 5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        scripted = torch.jit.script(Around(layer.to_torch()))
    x = torch.ones(7, 2, 3)
    torch.testing.assert_close(scripted(x)[0], layer(x)[0])
