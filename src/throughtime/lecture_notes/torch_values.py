"""The value of torch.nn.RNN with the weights of a system: what the forward equations of the notes are held against."""

from typing import Literal

import torch
from torch import Tensor

from throughtime.lecture_notes.systems import ElmanSystem


def torch_states(system: ElmanSystem, nonlinearity: Literal["tanh", "relu"]) -> Tensor:
    """h_1 … h_T of torch.nn.RNN as [time, hidden]."""
    # The layer draws initial weights that are thrown away: the caller's random numbers must not change by that.
    with torch.random.fork_rng(devices=[]):
        layer = torch.nn.RNN(system.inputs.shape[1], system.hidden_size, nonlinearity=nonlinearity, dtype=torch.float64)
    values = {
        "weight_ih_l0": system.weight_ih,
        "weight_hh_l0": system.weight_hh,
        "bias_ih_l0": system.bias,
        "bias_hh_l0": torch.zeros_like(system.bias),
    }
    layer.load_state_dict(values)
    with torch.no_grad():
        return layer(system.inputs, system.initial_state[None])[0]
