"""Copies of weights that are parametrized, tied, frozen or set by a hook."""

import pytest
import torch
from layers.comparison import EXACT, assert_near, call, filled, normal
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

import throughtime as tt
from throughtime.errors import UnsupportedError

T, B, INPUT, HIDDEN = 7, 5, 3, 5


class Doubled(nn.Module):
    """Twice the parameter."""

    def forward(self, x):
        return 2 * x


MADE = {
    "weight_norm": lambda layer: parametrizations.weight_norm(layer, "weight_hh_l0"),
    "spectral_norm": lambda layer: parametrizations.spectral_norm(layer, "weight_ih_l0"),
    "doubled": lambda layer: parametrize.register_parametrization(layer, "bias_hh_l0", Doubled()),
}


def both_ways(layer: nn.Module) -> nn.Module:
    """The layer of the other library."""
    return tt.LSTM.from_torch(layer) if isinstance(layer, nn.LSTM) else layer.to_torch()


@pytest.mark.parametrize("make", MADE)
@pytest.mark.parametrize("library", [nn, tt])
def test_the_weights_that_act_are_copied(library, make: str):
    layer = MADE[make](filled(library.LSTM(INPUT, HIDDEN, dtype=torch.float64), seed=3)).eval()
    with torch.no_grad():  # no product of it may look frozen for that
        twin = both_ways(layer)
    x = normal(1, T, B, INPUT)
    assert_near(call(twin, x, None), call(layer, x, None), EXACT)
    assert list(twin.state_dict()) == list(library.LSTM(INPUT, HIDDEN).state_dict())
    assert all(isinstance(value, nn.Parameter) and value.requires_grad for value in twin.parameters())
    assert not parametrize.is_parametrized(twin)


@pytest.mark.parametrize("library", [nn, tt])
def test_what_a_hook_sets_is_refused_by_name_with_the_way_out(library):
    layer = library.LSTM(INPUT, HIDDEN)
    prune.random_unstructured(layer, "weight_hh_l0", amount=0.5)
    with pytest.raises(UnsupportedError, match=r"weight_hh_l0 is no parameter of the LSTM.*prune\.remove\(layer, 'wei"):
        both_ways(layer)
    pruned = layer.weight_hh_l0.detach().clone()
    prune.remove(layer, "weight_hh_l0")
    assert torch.equal(both_ways(layer).weight_hh_l0, pruned)


@pytest.mark.parametrize("library", [nn, tt])
def test_tied_weights_stay_tied(library):
    layer = library.LSTM(INPUT, HIDDEN, 2)
    layer.weight_hh_l1 = layer.weight_hh_l0
    twin = both_ways(layer)
    assert twin.weight_hh_l1 is twin.weight_hh_l0 and twin.weight_ih_l1 is not twin.weight_ih_l0
    assert twin.weight_hh_l0 is not layer.weight_hh_l0 and torch.equal(twin.weight_hh_l0, layer.weight_hh_l0)
    x = torch.ones(T, B, INPUT)
    torch.testing.assert_close(twin(x)[0], layer(x)[0])


@pytest.mark.parametrize("library", [nn, tt])
def test_a_frozen_original_stays_frozen(library):
    layer = MADE["doubled"](library.LSTM(INPUT, HIDDEN))
    layer.parametrizations.bias_hh_l0.original.requires_grad_(False)
    frozen = {name for name, value in both_ways(layer).named_parameters() if not value.requires_grad}
    assert frozen == {"bias_hh_l0"}
