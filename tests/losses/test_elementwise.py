"""Squared error and the Bernoulli likelihood against closed forms and torch's own losses."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from throughtime.errors import ArgumentError
from throughtime.losses import bernoulli, squared_error

T, B, K = 7, 5, 3
LENGTHS = [4, 0, 7, 1, 3]


def outputs() -> Tensor:
    return torch.randn(T, B, K, generator=torch.Generator().manual_seed(8), dtype=torch.float64)


def keys() -> Tensor:
    """Several keys, one key and no key on at a step."""
    return (torch.rand(T, B, K, generator=torch.Generator().manual_seed(9)) < 0.6).double()


def upstream() -> Tensor:
    return torch.linspace(-1.0, 2.0, T * B, dtype=torch.float64).reshape(T, B)


def gradient_of(loss, predictions: Tensor, targets: Tensor) -> Tensor:
    predictions.requires_grad_()
    return torch.autograd.grad(loss(predictions, targets, reduction="none"), predictions, upstream())[0]


def test_squared_error_sums_over_features_without_a_half():
    targets = outputs().flip(0)
    expected = ((outputs() - targets) ** 2).sum(-1)
    torch.testing.assert_close(squared_error(outputs(), targets, reduction="none"), expected, rtol=1e-14, atol=0)
    gradient = gradient_of(squared_error, outputs(), targets)
    torch.testing.assert_close(gradient, upstream()[..., None] * 2 * (outputs() - targets), rtol=1e-14, atol=0)
    torch.testing.assert_close(squared_error(outputs(), targets), K * functional.mse_loss(outputs(), targets))


def test_bernoulli_sums_over_keys_and_its_error_is_sigma_minus_y():
    sigma = 1 / (1 + (-outputs()).exp())
    expected = -(keys() * sigma.log() + (1 - keys()) * (1 - sigma).log()).sum(-1)
    torch.testing.assert_close(bernoulli(outputs(), keys(), reduction="none"), expected, rtol=1e-13, atol=0)
    gradient = gradient_of(bernoulli, outputs(), keys())
    torch.testing.assert_close(gradient, upstream()[..., None] * (sigma - keys()), rtol=1e-13, atol=1e-15)
    theirs = functional.binary_cross_entropy_with_logits(outputs(), keys(), reduction="sum")
    torch.testing.assert_close(bernoulli(outputs(), keys(), reduction="sum"), theirs)


def test_the_mean_divides_by_steps_and_not_by_keys():
    valid = torch.arange(T)[:, None] < torch.tensor(LENGTHS)
    total = functional.binary_cross_entropy_with_logits(outputs()[valid], keys()[valid], reduction="sum")
    torch.testing.assert_close(bernoulli(outputs(), keys(), lengths=LENGTHS), total / sum(LENGTHS))


def test_targets_may_be_bool_and_integers():
    expected = bernoulli(outputs(), keys(), lengths=LENGTHS)
    assert torch.equal(bernoulli(outputs(), keys().bool(), lengths=LENGTHS), expected)
    assert torch.equal(bernoulli(outputs(), keys().int(), lengths=LENGTHS), expected)
    assert torch.equal(squared_error(outputs(), keys().int()), squared_error(outputs(), keys()))


def test_huge_logits_stay_finite():
    predictions = (1e4 * outputs()).requires_grad_()
    value = bernoulli(predictions, keys())
    assert value.isfinite() and torch.autograd.grad(value, predictions)[0].isfinite().all()


@pytest.mark.parametrize(("loss", "name"), [(squared_error, "predictions"), (bernoulli, "logits")])
def test_nothing_is_broadcast_and_misfits_are_refused_by_name(loss, name: str):
    for wrong in (keys()[:, :1], keys()[..., :1], keys()[..., 0], keys()[0], keys().transpose(0, 1)):
        with pytest.raises(
            ArgumentError, match=rf"^targets has the shape .*; it must have the shape \(7, 5, 3\) of {name}, .*: expand"
        ):
            loss(outputs(), wrong)
    with pytest.raises(ArgumentError, match=rf"^{name} has the shape \(7,\); it must be"):
        loss(outputs()[:, 0, 0], keys()[:, 0, 0])
    with pytest.raises(ArgumentError, match=f"^{name} has the dtype torch.int64; it must hold"):
        loss(outputs().long(), keys())
