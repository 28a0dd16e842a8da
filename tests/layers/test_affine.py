"""From torch.nn and back, with everything that a module carries."""

import pytest
import torch
from layers.comparison import EXACT, assert_equal, assert_near, evaluate, filled, normal
from torch import nn

import throughtime as tt
from throughtime.errors import ArgumentError, UnsupportedError

T, B, INPUT = 7, 5, 3

MODULES = {
    "RNN": lambda **options: nn.RNN(INPUT, 5, 2, nonlinearity="relu", bias=False, batch_first=True, **options),
    "LSTM": lambda **options: nn.LSTM(INPUT, 5, 2, proj_size=2, bidirectional=True, dropout=0.25, **options),
    "GRU": lambda **options: nn.GRU(INPUT, 5, 3, bidirectional=True, **options),
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", MODULES)
def test_there_and_back(name: str, dtype: torch.dtype):
    theirs = filled(MODULES[name](dtype=dtype), seed=3)
    ours = getattr(tt, name).from_torch(theirs)
    assert type(ours) is getattr(tt, name)
    assert_equal(ours.state_dict(), theirs.state_dict())
    back = ours.to_torch()
    assert type(back) is type(theirs)
    assert_equal(back.state_dict(), theirs.state_dict())
    for argument in ("num_layers", "bias", "batch_first", "dropout", "bidirectional", "proj_size"):
        assert getattr(back, argument) == getattr(ours, argument) == getattr(theirs, argument)
    assert getattr(back, "nonlinearity", None) == getattr(theirs, "nonlinearity", None)


@pytest.mark.parametrize("name", MODULES)
def test_outputs_and_gradients_survive_the_way(name: str):
    theirs = filled(MODULES[name](dtype=torch.float64), seed=3).eval()
    ours, x = getattr(tt, name).from_torch(theirs), normal(1, T, B, INPUT)
    expected = evaluate(theirs, x, None)
    assert_near(evaluate(ours, x, None), expected, EXACT)
    assert_near(evaluate(ours.to_torch(), x, None), expected, EXACT)


@pytest.mark.parametrize("name", MODULES)
def test_weights_are_copied_and_not_shared(name: str):
    theirs = MODULES[name]()
    ours = getattr(tt, name).from_torch(theirs)
    back = ours.to_torch()
    before = ours.weight_hh_l0.clone()
    with torch.no_grad():
        theirs.weight_hh_l0.zero_()
        back.weight_hh_l0.zero_()
    assert torch.equal(ours.weight_hh_l0, before)


@pytest.mark.parametrize("name", MODULES)
def test_mode_and_frozen_parameters_are_kept(name: str):
    theirs = MODULES[name]().eval()
    theirs.weight_ih_l1.requires_grad_(False)
    ours = getattr(tt, name).from_torch(theirs)
    for module in (ours, ours.to_torch()):
        assert not module.training
        assert {name for name, value in module.named_parameters() if not value.requires_grad} == {"weight_ih_l1"}
        assert all(isinstance(value, nn.Parameter) and value.is_leaf for value in module.parameters())
    assert getattr(tt, name).from_torch(theirs.train()).training


def test_no_random_number_is_drawn():
    theirs = MODULES["LSTM"]()
    before = torch.get_rng_state()
    tt.LSTM.from_torch(theirs).to_torch()
    assert torch.equal(torch.get_rng_state(), before)


def test_the_gradient_method_comes_along():
    method = tt.BPTT(clip_step=0.5)
    assert tt.GRU.from_torch(MODULES["GRU"](), gradient=method).gradient is method
    assert tt.GRU.from_torch(MODULES["GRU"]()).gradient == tt.BPTT()


@pytest.mark.parametrize("layer", [tt.RNN, tt.LSTM, tt.GRU])
def test_another_module_is_refused_by_name(layer):
    wrong = nn.GRU(3, 5) if layer is not tt.GRU else nn.LSTM(3, 5)
    for module in (wrong, nn.Linear(3, 5), layer(3, 5), None):
        with pytest.raises(ArgumentError, match=f"module is a {type(module).__name__}; .*torch.nn.{layer.__name__}"):
            layer.from_torch(module)


@pytest.mark.parametrize("layer", [tt.RNN, tt.LSTM, tt.GRU])
def test_a_learned_initial_state_has_no_twin(layer):
    with pytest.raises(UnsupportedError, match=f"learn_initial_state=True .*torch.nn.{layer.__name__}.*hx"):
        layer(3, 5, learn_initial_state=True).to_torch()


@pytest.mark.parametrize("layer", [tt.RNN, tt.LSTM, tt.GRU])
@pytest.mark.parametrize("size", [0, -1, 5.0, "5", None])
def test_a_hidden_size_that_is_none_is_refused(layer, size):
    with pytest.raises(ArgumentError, match=r"hidden_size is .*; it must be a whole number, at least 1"):
        layer(INPUT, size)


@pytest.mark.parametrize("layer", [tt.RNN, tt.LSTM, tt.GRU])
@pytest.mark.parametrize("size", [-1, 3.0, "3", None])
def test_an_input_size_that_is_none_is_refused(layer, size):
    with pytest.raises(ArgumentError, match=r"input_size is .*; it must be a whole number, at least 1"):
        layer(size, 5)


@pytest.mark.parametrize("layer", [tt.RNN, tt.LSTM, tt.GRU])
@pytest.mark.parametrize("count", [0, -2, 1.0, True, "2", None])
def test_a_number_of_layers_that_is_none_is_refused(layer, count):
    with pytest.raises(ArgumentError, match=r"num_layers is .*; it must be a whole number, at least 1"):
        layer(INPUT, 5, count)


class Twinless(tt.GRU):
    """A layer that torch.nn does not have."""

    twin = None


def test_a_layer_without_a_twin_says_so_both_ways():
    for way in (Twinless(INPUT, 5).to_torch, lambda: Twinless.from_torch(nn.GRU(INPUT, 5))):
        with pytest.raises(UnsupportedError, match=r"Twinless has no counterpart in torch\.nn"):
            way()
