"""The policies by themselves; within a training they are tested in test_monitor and test_module."""

import math

import pytest
import torch

from throughtime.errors import ArgumentError, NonFiniteError
from throughtime.updates.rescue import Rescue


def _model(gradient=1.0):
    torch.manual_seed(5)
    model = torch.nn.Linear(3, 2, dtype=torch.float64)
    model.weight.grad = torch.full((2, 3), 0.5, dtype=torch.float64)
    model.bias.grad = torch.tensor([gradient, -2.0], dtype=torch.float64)
    return model, torch.optim.Adam(model.parameters(), lr=0.1)


def test_a_finite_gradient_is_clipped_and_reported():
    model, optimizer = _model()
    checked = Rescue("skip").check(model, optimizer, None, clip_norm=1.0)
    norm = math.sqrt(6 * 0.25 + 1 + 4)
    assert checked.total_norm == pytest.approx(norm) and checked.scale == pytest.approx(1 / norm) and checked.clipped
    assert checked.sentence is None
    assert model.bias.grad.tolist() == pytest.approx([1 / norm, -2 / norm])


@pytest.mark.parametrize("clip_norm", [None, 1.5])
def test_rescale_holds_the_rest_to_the_last_norm_and_to_the_limit(clip_norm):
    model, optimizer = _model()
    rescue = Rescue("rescale")
    model.bias.grad[1] = -0.5
    last = rescue.check(model, optimizer, None).total_norm
    model, optimizer = _model(math.nan)
    checked = rescue.check(model, optimizer, None, clip_norm)
    scale = min(last, clip_norm or math.inf) / math.sqrt(6 * 0.25 + 4)
    assert checked.scale == pytest.approx(scale) and checked.clipped and math.isnan(checked.total_norm)
    assert model.bias.grad.tolist() == pytest.approx([0.0, -2 * scale])
    assert f"'bias' has 1 NaN and 0 infinite entries among 2; these entries were set to 0 and the rest multiplied by " \
        f"{scale:.3g}." in checked.sentence  # fmt: skip


def test_rescale_after_a_gradient_of_zero_moves_nothing():
    model, optimizer = _model(0.0)
    rescue = Rescue("rescale")
    for parameter in model.parameters():
        parameter.grad.zero_()
    assert rescue.check(model, optimizer, None).total_norm == 0
    model.bias.grad[0] = math.inf
    assert rescue.check(model, optimizer, None).scale == 0 and model.bias.grad is None


def test_restore_returns_weights_and_moments_but_not_the_learning_rate_and_its_copy_stays_its_own():
    model, optimizer = _model()
    rescue = Rescue("restore", keep_every=2)
    optimizer.step()
    weights, moment = model.weight.detach().clone(), optimizer.state[model.weight]["exp_avg"].clone()
    for _ in range(2):
        for _ in range(2):
            rescue.check(model, optimizer, None)
            optimizer.step()
        rescue.load_state_dict(rescue.state_dict())
        optimizer.param_groups[0]["lr"] = 0.03
        gradients = [parameter.grad.clone() for parameter in model.parameters()]
        model.bias.grad[0] = math.nan
        assert "are again those of 2 updates ago" in rescue.check(model, optimizer, None).sentence
        assert torch.equal(model.weight, weights) and torch.equal(optimizer.state[model.weight]["exp_avg"], moment)
        assert optimizer.param_groups[0]["lr"] == 0.03 and model.weight.grad is None
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            parameter.grad = gradient
    assert rescue.rescues == 2


def test_one_update_ago_is_one():
    model, optimizer = _model()
    rescue = Rescue("restore")
    rescue.check(model, optimizer, None)
    model.bias.grad[0] = math.nan
    assert rescue.check(model, optimizer, None).sentence.endswith("are again those of 1 update ago.")


def test_restore_has_nothing_to_go_back_to_at_first():
    with pytest.raises(NonFiniteError, match=r"no earlier update with a finite gradient to go back to\.$"):
        Rescue("restore").check(*_model(math.nan), None)


def test_raise_leaves_everything_as_it_came():
    model, optimizer = _model(math.inf)
    with pytest.raises(NonFiniteError, match="'bias' has 0 NaN and 1 infinite"):
        Rescue().check(model, optimizer, None, 0.1)
    assert torch.equal(model.weight.grad, torch.full((2, 3), 0.5, dtype=torch.float64))


@pytest.mark.parametrize("options", [{"policy": "pass"}, {"keep_every": 0}, {"keep_every": 2.5}, {"keep_every": True}])
def test_options_that_are_none_are_refused(options):
    with pytest.raises(ArgumentError, match=r"nonfinite is 'pass'; it must|keep_every is (0|2.5|True); it must"):
        Rescue(**options)


@pytest.mark.parametrize("scale", [1.0, 1e-25, 1e25])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_norm_without_clipping_is_that_of_all_gradients_at_any_size(scale, dtype):
    model, optimizer = _model()
    model.to(dtype)
    for parameter in model.parameters():
        parameter.grad = parameter.grad.to(dtype) * scale
    checked = Rescue().check(model, optimizer, None)
    assert checked.total_norm == pytest.approx(scale * math.sqrt(6 * 0.25 + 5), rel=1e-6) and checked.scale == 1


def test_ten_in_a_row_end_a_run_and_one_that_is_finite_begins_the_count_anew():
    rescue, last = Rescue("skip"), [math.nan] * 10
    for gradient in (*last, 1.0, *last):
        assert (rescue.check(*_model(gradient), None).sentence is None) == (gradient == 1)
    with pytest.raises(NonFiniteError, match="so it was in the 10 updates before"):
        rescue.check(*_model(math.nan), None)
    assert rescue.rescues == 20
