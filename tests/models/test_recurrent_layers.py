import pytest
from torch import nn

import throughtime as tt
from throughtime.errors import ArgumentError
from throughtime.models.recurrent_layers import recurrent_layers


def test_layers_by_name_in_the_order_of_the_modules():
    model = nn.ModuleDict({"a": nn.Sequential(nn.Linear(2, 3), tt.RNN(3, 4)), "b": tt.GRU(4, 2)})
    assert list(recurrent_layers(model)) == ["a.1", "b"]
    rnn = tt.LSTM(2, 3)
    assert recurrent_layers(rnn) == {"": rnn}


def test_a_model_of_torchs_own_layers_is_told_how_to_convert_them():
    with pytest.raises(ArgumentError, match="Sequential without a recurrent layer.*its '1' is torch.nn's.*GRU.from_t"):
        recurrent_layers(nn.Sequential(nn.Linear(2, 3), nn.GRU(3, 4)))
