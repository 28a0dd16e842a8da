import pytest
import torch
from torch import nn

from throughtime.errors import ArgumentError
from throughtime.models.scalar_loss import scalar_loss


def test_the_loss_is_of_the_output_or_of_the_first_of_several():
    model, x = nn.Linear(2, 3), torch.randn(5, 2)
    expected = model(x).sum() + 2
    assert scalar_loss(model, lambda output, y: output.sum() + y, x, 2).item() == expected.item()
    model.forward = lambda x: (nn.functional.linear(x, model.weight, model.bias), "state")
    assert scalar_loss(model, lambda output, y: output.sum() + y, x, 2).item() == expected.item()
    with pytest.raises(ArgumentError, match=r"loss returned a tensor \(5, 3\); it must be a scalar"):
        scalar_loss(model, lambda output, y: output, x, None)
