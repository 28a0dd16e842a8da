import pytest
import torch

from throughtime.models.contexts import in_evaluation_mode


def test_modes_gradients_buffers_and_random_numbers_are_as_before_even_after_an_error():
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Dropout(0.5), torch.nn.BatchNorm1d(2))
    model[0].eval()
    model[0].weight.grad = torch.ones(2, 3)
    torch.manual_seed(1)
    expected = torch.randn(2)
    torch.manual_seed(1)
    with pytest.raises(KeyError), torch.no_grad(), in_evaluation_mode(model):
        assert not model.training and not model[1].training and model[0].weight.grad is None
        model(torch.randn(5, 3)).sum().backward()
        assert model[0].weight.grad is not None
        model[2].running_mean += 1
        raise KeyError
    assert model.training and model[1].training and not model[0].training
    assert torch.equal(model[0].weight.grad, torch.ones(2, 3)) and model[0].bias.grad is None
    assert torch.equal(torch.randn(2), expected)
    assert model[2].running_mean.tolist() == [0, 0]
