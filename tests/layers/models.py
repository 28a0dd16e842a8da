"""Small layers of every shape that matters to lengths and resets: stacked, in one and two directions, any state."""

from typing import Any

import torch
from layers.comparison import filled, normal
from torch import Tensor

import throughtime as tt
from throughtime.layers import RecurrentLayer

INPUT, HIDDEN = 3, 5


def oscillator(p, x, state):
    """Two members of the state that differ in size; the second is not the output."""
    h, v = state
    v = 0.9 * v + torch.tanh(h @ p["back"].T + x @ p["inward"].T)
    return torch.tanh(0.5 * h + v @ p["forth"].T), v


def _oscillator(**options: Any) -> RecurrentLayer:
    values = {"back": normal(1, 4, HIDDEN), "inward": normal(2, 4, INPUT), "forth": normal(3, HIDDEN, 4)}
    options |= {"hidden_size": {"h": HIDDEN, "v": 4}, "input_size": INPUT, "dtype": torch.float64}
    return tt.Recurrent(oscillator, parameters=values, **options)


def _both_ways(layer: type[RecurrentLayer], *arguments: Any, **options: Any) -> RecurrentLayer:
    return layer(INPUT, HIDDEN, *arguments, **{"bidirectional": True, "dtype": torch.float64} | options)


MODELS = {
    "RNN": lambda **options: tt.RNN(INPUT, HIDDEN, 3, dtype=torch.float64, **options),
    "RNN-relu": lambda **options: tt.RNN(INPUT, HIDDEN, nonlinearity="relu", dtype=torch.float64, **options),
    "LSTM": lambda **options: tt.LSTM(INPUT, HIDDEN, 2, dtype=torch.float64, **options),
    "LSTM-proj": lambda **options: _both_ways(tt.LSTM, 2, False, proj_size=2, **options),
    "GRU": lambda **options: _both_ways(tt.GRU, 2, **options),
    "function": lambda **options: _oscillator(**{"bidirectional": True} | options),
}

MEMBERS = {name: ("h", "c") if "LSTM" in name else ("h", "v") if name == "function" else ("h",) for name in MODELS}
"""The names of the state's members."""


def model(name: str, **options: Any) -> RecurrentLayer:
    """The layer of that name in float64, no parameter zero."""
    return filled(MODELS[name](**options), seed=4)


def hx_of(module: RecurrentLayer, rows: int, seed: int = 20) -> tuple[Tensor, ...]:
    """A state [layers · directions, rows, size] to pass in, in the order of the state's members."""
    rest = module(torch.zeros(0, rows, INPUT, dtype=torch.float64))[1]
    rest = rest if isinstance(rest, tuple) else (rest,)
    return tuple(normal(seed + i, *member.shape) for i, member in enumerate(rest))
