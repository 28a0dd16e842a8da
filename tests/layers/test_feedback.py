import pytest
import torch
from oracles import relative
from torch import nn

import throughtime as tt


def _twins(bias=True):
    ours = tt.FeedbackLinear(5, 3, bias=bias, dtype=torch.float64)
    theirs = nn.Linear(5, 3, bias=bias, dtype=torch.float64)
    theirs.load_state_dict({name: value for name, value in ours.state_dict().items() if name != "feedback"})
    return ours, theirs


def _gradients(layer, x, weights):
    y = layer(x)
    return [y, *torch.autograd.grad((weights * y).sum(), [x, *layer.parameters()])]


@pytest.mark.parametrize("shape", [(5,), (4, 5), (7, 4, 5), (0, 5)], ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_everything_but_the_error_to_x_is_torch_nn_linear(shape, bias):
    ours, theirs = _twins(bias)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(*shape[:-1], 3, dtype=torch.float64)
    (y, d_x, *rest), (expected, d_x_of_torch, *others) = _gradients(ours, x, weights), _gradients(theirs, x, weights)
    assert relative(d_x, weights @ ours.feedback) <= 1e-15
    assert not x.numel() or relative(d_x, d_x_of_torch) > 0.1
    for one, reference in zip((y, *rest), (expected, *others), strict=True):
        assert relative(one, reference) <= 1e-15


def test_with_the_weight_as_feedback_it_is_torch_nn_linear():
    ours, theirs = _twins()
    ours.feedback.copy_(ours.weight.detach())
    x, weights = torch.randn(4, 5, dtype=torch.float64, requires_grad=True), torch.randn(4, 3, dtype=torch.float64)
    for one, reference in zip(_gradients(ours, x, weights), _gradients(theirs, x, weights), strict=True):
        assert relative(one, reference) <= 1e-15


def test_the_feedback_is_kept_and_never_learned():
    ours = tt.FeedbackLinear(200, 30)
    assert "feedback" not in dict(ours.named_parameters()) and not ours.feedback.requires_grad
    other = tt.FeedbackLinear(200, 30)
    assert not torch.equal(ours.feedback, other.feedback) and not torch.equal(ours.feedback, ours.weight)
    other.load_state_dict(ours.state_dict())
    assert torch.equal(ours.feedback, other.feedback)
    bound = 200**-0.5
    assert 0.95 * bound < ours.feedback.abs().max() <= bound and abs(ours.feedback.std() * 3**0.5 / bound - 1) < 0.05
    before = ours.feedback.clone()
    ours.reset_parameters()
    assert not torch.equal(ours.feedback, before)


def test_the_weight_comes_to_align_with_the_feedback():
    """A linear network of two layers learns a linear map, and its readout turns towards F."""
    first, readout = nn.Linear(6, 20, bias=False), tt.FeedbackLinear(20, 4, bias=False)
    target, optimizer = torch.randn(4, 6), torch.optim.SGD([*first.parameters(), *readout.parameters()], lr=0.05)

    def angle():
        return nn.functional.cosine_similarity(readout.weight.flatten(), readout.feedback.flatten(), dim=0).item()

    losses, before = [], angle()
    for _ in range(300):
        x = torch.randn(32, 6)
        loss = nn.functional.mse_loss(readout(first(x)), x @ target.T)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0] and angle() > before + 0.2


def test_transforms_of_torch_func_apply():
    ours, _ = _twins()
    x = torch.randn(7, 5, dtype=torch.float64)
    d_x = torch.func.grad(lambda x: ours(x).sum())(x)
    assert relative(d_x, torch.ones(7, 3, dtype=torch.float64) @ ours.feedback) <= 1e-15
    each = torch.func.vmap(torch.func.grad(lambda row: ours(row).sum()))(x)
    assert relative(each, d_x) <= 1e-15


def test_on_top_of_a_layer_the_error_comes_back_at_random():
    rnn, readout = tt.RNN(3, 5, gradient=tt.RFLO(), dtype=torch.float64), tt.FeedbackLinear(5, 2, dtype=torch.float64)
    x, weights = torch.randn(6, 4, 3, dtype=torch.float64), torch.randn(6, 4, 2, dtype=torch.float64)
    (weights * readout(rnn(x)[0])).sum().backward()
    found = rnn.weight_ih_l0.grad
    y, _ = rnn(x)
    (expected,) = torch.autograd.grad(y, rnn.weight_ih_l0, weights @ readout.feedback)
    assert relative(found, expected) <= 1e-14


def test_under_autocast_it_computes_as_torch_nn_linear_does():
    ours, theirs = tt.FeedbackLinear(5, 3), nn.Linear(5, 3)
    theirs.load_state_dict({name: value for name, value in ours.state_dict().items() if name != "feedback"})
    x, weights = torch.randn(4, 5, requires_grad=True), torch.randn(4, 3)
    with torch.autocast("cpu", torch.bfloat16):
        (y, d_x, *rest), (expected, _, *others) = _gradients(ours, x, weights), _gradients(theirs, x, weights)
    assert y.dtype == expected.dtype == torch.bfloat16 and d_x.dtype == torch.float32
    assert relative(d_x, weights @ ours.feedback) < 0.02
    for one, reference in zip((y, *rest), (expected, *others), strict=True):
        assert relative(one.float(), reference.float()) < 0.01
