"""Cross-entropy and the softmax's squared error against closed forms and torch's own losses."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from throughtime.errors import ArgumentError
from throughtime.losses import cross_entropy, softmax_squared_error

T, B, K = 7, 5, 3
LENGTHS = [4, 0, 7, 1, 3]


def logits() -> Tensor:
    return 2 * torch.randn(T, B, K, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def classes() -> Tensor:
    return torch.randint(0, K, (T, B), generator=torch.Generator().manual_seed(6))


def probabilities() -> Tensor:
    return torch.rand(T, B, K, generator=torch.Generator().manual_seed(7), dtype=torch.float64).softmax(-1)


def upstream() -> Tensor:
    return torch.linspace(-1.0, 2.0, T * B, dtype=torch.float64).reshape(T, B)


def gradient_of(loss, outputs: Tensor, targets: Tensor) -> Tensor:
    outputs.requires_grad_()
    return torch.autograd.grad(loss(outputs, targets, reduction="none"), outputs, upstream())[0]


@pytest.mark.parametrize("targets", [classes(), probabilities()], ids=["classes", "probabilities"])
def test_cross_entropy_is_the_printed_sum_and_its_error_is_p_minus_y(targets: Tensor):
    p = logits().exp() / logits().exp().sum(-1, keepdim=True)
    y = functional.one_hot(targets, K).double() if targets.dim() == 2 else targets
    expected = -(y * p.log()).sum(-1)
    torch.testing.assert_close(cross_entropy(logits(), targets, reduction="none"), expected, rtol=1e-13, atol=0)
    delta = gradient_of(cross_entropy, logits(), targets)
    torch.testing.assert_close(delta, upstream()[..., None] * (p - y), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("targets", [classes(), probabilities()], ids=["classes", "probabilities"])
def test_softmax_squared_error_carries_the_full_jacobian(targets: Tensor):
    p = logits().exp() / logits().exp().sum(-1, keepdim=True)
    d = functional.one_hot(targets, K).double() if targets.dim() == 2 else targets
    expected = ((d - p) ** 2).sum(-1)
    torch.testing.assert_close(softmax_squared_error(logits(), targets, reduction="none"), expected, rtol=1e-13, atol=0)
    jacobian = torch.diag_embed(p) - p[..., :, None] * p[..., None, :]
    delta = 2 * (jacobian @ (p - d)[..., None])[..., 0]
    actual = gradient_of(softmax_squared_error, logits(), targets)
    torch.testing.assert_close(actual, upstream()[..., None] * delta, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_cross_entropy_is_torchs_with_ignored_padding(reduction: str):
    padded = classes().masked_fill(~(torch.arange(T)[:, None] < torch.tensor(LENGTHS)), -100)
    ours = cross_entropy(logits(), padded, lengths=LENGTHS, reduction=reduction)
    theirs = functional.cross_entropy(logits().flatten(0, 1), padded.flatten(), reduction=reduction)
    torch.testing.assert_close(ours, theirs, rtol=1e-14, atol=0)


@pytest.mark.parametrize("loss", [cross_entropy, softmax_squared_error])
def test_classes_are_the_one_hot_probabilities_in_any_integer_dtype(loss):
    expected = loss(logits(), functional.one_hot(classes(), K).double(), lengths=LENGTHS)
    for targets in (classes(), classes().int(), classes().to(torch.uint8), functional.one_hot(classes(), K)):
        torch.testing.assert_close(loss(logits(), targets, lengths=LENGTHS), expected, rtol=1e-14, atol=0)
    assert loss(logits().float(), probabilities()).dtype == torch.float32


@pytest.mark.parametrize("loss", [cross_entropy, softmax_squared_error])
def test_one_row_without_a_batch(loss):
    expected = loss(logits()[:, 2:3], classes()[:, 2:3])
    torch.testing.assert_close(loss(logits()[:, 2], classes()[:, 2]), expected)
    per_step = loss(logits()[:, 2], classes()[:, 2], mask=torch.arange(T) % 2 == 1, reduction="none")
    assert per_step.shape == (T,) and per_step[1::2].all() and not per_step[::2].any()


@pytest.mark.parametrize("loss", [cross_entropy, softmax_squared_error])
def test_huge_logits_stay_finite(loss):
    outputs = (1e4 * logits()).requires_grad_()
    value = loss(outputs, classes())
    assert value.isfinite() and torch.autograd.grad(value, outputs)[0].isfinite().all()


@pytest.mark.parametrize("loss", [cross_entropy, softmax_squared_error])
@pytest.mark.parametrize("wrong", [K, -1, -100, 300])
def test_a_class_out_of_range_is_refused_with_value_and_position_unless_it_is_padding(loss, wrong: int):
    targets = classes()
    targets[5, 2] = wrong
    allowed = "it must be from 0 to 2, because the logits have 3 classes: mark padding .*, or give the logits more"
    with pytest.raises(ArgumentError, match=rf"^targets is {wrong} at step 5, batch row 2 .*; {allowed}"):
        loss(logits(), targets, lengths=LENGTHS)
    with pytest.raises(ArgumentError, match=rf"^targets is {wrong} at step 5 \(counted from 0\)"):
        loss(logits()[:, 2], targets[:, 2])
    targets[5, 2], targets[5, 3] = 0, wrong
    assert loss(logits(), targets, lengths=LENGTHS).isfinite()
    assert loss(logits(), targets, steps="last").isfinite()


def test_bytes_reach_more_than_255_classes():
    targets = torch.full((T, B), 255, dtype=torch.uint8)
    assert cross_entropy(torch.zeros(T, B, 300), targets).item() == pytest.approx(5.703782474656201)


@pytest.mark.parametrize("loss", [cross_entropy, softmax_squared_error])
def test_targets_that_do_not_fit_are_refused_by_name(loss):
    allowed = r"^targets has the shape .*; it must be \(7, 5\), class indices, or \(7, 5, 3\), probabilities$"
    for wrong in (
        classes()[:, :1],
        classes().T,
        probabilities()[..., :2],
        probabilities()[:, :1],
        classes()[..., None],
    ):
        with pytest.raises(ArgumentError, match=allowed):
            loss(logits(), wrong)
    for dtype in (torch.float64, torch.bool):
        with pytest.raises(ArgumentError, match=f"^targets has the dtype {dtype}; class indices must be integers: try"):
            loss(logits(), classes().to(dtype))
    with pytest.raises(ArgumentError, match=r"^logits has the shape \(7, 5, 3, 1\); it must be"):
        loss(logits()[..., None], classes())
    with pytest.raises(ArgumentError, match="^logits has the dtype torch.int64; it must hold"):
        loss(logits().long(), classes())
