import pytest
import torch
from torch import nn

import throughtime as tt
from throughtime.errors import ArgumentError
from throughtime.models.evaluated import recurrent_layers, scalar_loss


def test_layers_by_name_in_the_order_of_the_modules():
    model = nn.ModuleDict({"a": nn.Sequential(nn.Linear(2, 3), tt.RNN(3, 4)), "b": tt.GRU(4, 2)})
    assert list(recurrent_layers(model)) == ["a.1", "b"]
    rnn = tt.LSTM(2, 3)
    assert recurrent_layers(rnn) == {"": rnn}


def test_a_model_of_torchs_own_layers_is_told_how_to_convert_them():
    with pytest.raises(ArgumentError, match="Sequential without a recurrent layer.*its '1' is torch.nn's.*GRU.from_t"):
        recurrent_layers(nn.Sequential(nn.Linear(2, 3), nn.GRU(3, 4)))


def test_the_loss_is_of_the_output_or_of_the_first_of_several():
    model, x = nn.Linear(2, 3), torch.randn(5, 2)
    expected = model(x).sum() + 2
    assert scalar_loss(model, lambda output, y: output.sum() + y, x, 2).item() == expected.item()
    model.forward = lambda x: (nn.functional.linear(x, model.weight, model.bias), "state")
    assert scalar_loss(model, lambda output, y: output.sum() + y, x, 2).item() == expected.item()
    with pytest.raises(ArgumentError, match=r"loss returned a tensor \(5, 3\); it must be a scalar"):
        scalar_loss(model, lambda output, y: output, x, None)
